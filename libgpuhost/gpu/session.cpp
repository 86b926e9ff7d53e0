// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/session.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/fsp_emem.h"
#include "libgpuhost/gpu/fsp_mnoc.h"

namespace gpuhost::gpu {
namespace {

// The kernel polls a device for 60 s after a function-level reset before it gives up.
constexpr Duration kResetLimit = std::chrono::seconds(65);
constexpr Duration kLockLimit = std::chrono::seconds(70);

std::unique_ptr<FspTransport> MakeTransport(FspKind kind, Registers& registers, Clock& clock) {
  switch (kind) {
    case FspKind::kEmem:
      return std::make_unique<FspEmem>(registers, clock);
    case FspKind::kMnoc:
      return std::make_unique<FspMnoc>(registers, clock);
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
  GPUHOST_ASSIGN(FileLock lock,
                 FileLock::Acquire(host.fs, host.clock, device.bdf.ToString(), kLockLimit));
  GPUHOST_ASSIGN(PowerGuard power, PowerGuard::Wake(host.fs, host.clock, device.bdf));
  GPUHOST_TRY(WaitForBar0(pci::ConfigSpace(host.fs, device.bdf), *chip->layout, host.clock,
                          /*just_reset=*/false));
  GPUHOST_ASSIGN(auto registers, host.registers.Open(device, Access::kReadWrite));
  std::unique_ptr<Session> session(
      new Session(host, device, *chip, std::move(lock), std::move(power), std::move(registers)));
  GPUHOST_TRY(session->Start());
  return session;
}

Session::Session(const Host& host, const pci::Device& device, const Chip& chip, FileLock lock,
                 PowerGuard power, std::unique_ptr<Registers> registers)
    : host_(host),
      bdf_(device.bdf),
      chip_(chip),
      lock_(std::move(lock)),
      power_(std::move(power)),
      registers_(std::move(registers)),
      view_{.registers = *registers_,
            .layout = *chip.layout,
            .config = pci::ConfigSpace(host.fs, device.bdf),
            .coupled = IsCoupled(device)},
      transport_(MakeTransport(chip.layout->fsp, *registers_, host_.clock)),
      firmware_(*transport_) {}

absl::Status Session::Start() {
  GPUHOST_TRY(WaitForBoot(view_, host_.clock));
  GPUHOST_ASSIGN(identity_, registers_->Read32(kBootIdentity));
  return transport_->Initialize();
}

absl::StatusOr<uint32_t> Session::ReadModeWord() { return registers_->Read32(chip_.layout->mode); }

absl::Status Session::Reset() {
  const absl::Status written =
      host_.fs.WriteWithin(kResetLimit, pci::SysfsPath(bdf_, "reset"), "1");
  stuck_ = absl::IsDeadlineExceeded(written);
  GPUHOST_TRY(written);
  GPUHOST_TRY(WaitForBar0(view_.config, view_.layout, host_.clock, /*just_reset=*/true));
  GPUHOST_TRY(WaitForBoot(view_, host_.clock));
  GPUHOST_ASSIGN(const uint32_t after, registers_->Read32(kBootIdentity));
  if (after == identity_) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss,
               "PMC_BOOT_0 was {:#010x} before the reset and is {:#010x} after it", identity_,
               after);
}

absl::Status Session::Reconnect() {
  // Of a device that was removed the mapping stays, and may become that of another one.
  GPUHOST_ASSIGN(const uint16_t vendor, view_.config.Read16(0));
  if (vendor != pci::kNvidia) return absl::UnavailableError("it has left the bus");
  GPUHOST_ASSIGN(const Bar0State bar0, LookAtBar0(view_.config, view_.layout));
  if (bar0 == Bar0State::kClosed) return absl::UnavailableError("firmware keeps BAR0 closed");
  GPUHOST_TRY(CheckAlive(view_));
  return transport_->Initialize();
}

}  // namespace gpuhost::gpu
