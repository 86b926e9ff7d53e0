// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/session.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/fsp_emem.h"

namespace gpuhost::gpu {
namespace {

// The kernel polls a device for 60 s after a function-level reset before it gives up.
constexpr Duration kResetLimit = std::chrono::seconds(65);
constexpr Duration kLockLimit = std::chrono::seconds(70);

std::unique_ptr<FspTransport> MakeTransport(FspKind kind, Registers& registers, Clock& clock) {
  switch (kind) {
    case FspKind::kEmem:
      return std::make_unique<FspEmem>(registers, clock);
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> Session::Open(const Host& host,
                                                       const pci::Device& device) {
  const Chip* chip = FindChip(device);
  if (chip == nullptr || chip->layout == nullptr) {
    return absl::UnimplementedError("this version cannot operate this chip");
  }
  const Layout& layout = *chip->layout;
  GPUHOST_ASSIGN(FileLock lock,
                 FileLock::Acquire(host.fs, host.clock, device.bdf.ToString(), kLockLimit));
  GPUHOST_ASSIGN(PowerGuard power, PowerGuard::Wake(host.fs, host.clock, device.bdf));
  GPUHOST_ASSIGN(auto registers, host.registers.Open(device, Access::kReadWrite));
  GPUHOST_TRY(WaitForBoot(*registers, layout, host.clock));
  auto transport = MakeTransport(layout.fsp, *registers, host.clock);
  GPUHOST_TRY(transport->Initialize());
  return std::unique_ptr<Session>(new Session(host, device, *chip, std::move(lock),
                                              std::move(power), std::move(registers),
                                              std::move(transport)));
}

Session::Session(const Host& host, const pci::Device& device, const Chip& chip, FileLock lock,
                 PowerGuard power, std::unique_ptr<Registers> registers,
                 std::unique_ptr<FspTransport> transport)
    : host_(host),
      bdf_(device.bdf),
      chip_(chip),
      lock_(std::move(lock)),
      power_(std::move(power)),
      registers_(std::move(registers)),
      transport_(std::move(transport)),
      firmware_(*transport_) {}

absl::StatusOr<uint32_t> Session::ReadModeWord() { return registers_->Read32(chip_.layout->mode); }

absl::Status Session::Reset() {
  GPUHOST_ASSIGN(const uint32_t before, registers_->Read32(kBootIdentity));
  GPUHOST_TRY(host_.fs.WriteWithin(kResetLimit, pci::SysfsPath(bdf_, "reset"), "1"));
  GPUHOST_TRY(WaitForBoot(*registers_, *chip_.layout, host_.clock));
  GPUHOST_ASSIGN(const uint32_t after, registers_->Read32(kBootIdentity));
  if (after == before) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss,
               "PMC_BOOT_0 was {:#010x} before the reset and is {:#010x} after it", before, after);
}

}  // namespace gpuhost::gpu
