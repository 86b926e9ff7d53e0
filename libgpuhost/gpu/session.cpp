// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/session.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/checked.h"
#include "libgpuhost/gpu/fsp_emem.h"
#include "libgpuhost/gpu/fsp_mnoc.h"

namespace gpuhost::gpu {
namespace {

// The kernel waits 65.5 s for a device after a function-level reset; then it gives up, or goes on
// to the next method, which may take as long again. Source: pci_dev_wait(),
// PCIE_RESET_READY_POLL_MS of the kernel.
constexpr Duration kFlrLimit = std::chrono::seconds(75);
constexpr Duration kAnyResetLimit = std::chrono::seconds(140);
constexpr Duration kLockLimit = kAnyResetLimit + std::chrono::seconds(10);

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

absl::StatusOr<std::unique_ptr<Session>> Session::Open(const Host& host, const pci::Device& device,
                                                       const MayReset& may_reset) {
  const Chip* chip = FindChip(device);
  if (chip == nullptr || chip->layout == nullptr) {
    return absl::UnimplementedError("this version cannot operate this chip");
  }
  GPUHOST_ASSIGN(FileLock lock,
                 FileLock::Acquire(host.fs, host.clock, device.bdf.ToString(), kLockLimit));
  GPUHOST_ASSIGN(PowerGuard power, PowerGuard::Wake(host.fs, host.clock, device.bdf));
  GPUHOST_TRY(WaitForBar0(pci::ConfigSpace(host.fs, device.bdf), *chip->layout, host.clock));
  GPUHOST_ASSIGN(auto registers, host.registers.Open(device, Access::kReadWrite));
  std::unique_ptr<Session> session(
      new Session(host, device, *chip, std::move(lock), std::move(power), std::move(registers)));
  GPUHOST_TRY(session->Start(may_reset));
  return session;
}

Session::Session(const Host& host, const pci::Device& device, const Chip& chip, FileLock lock,
                 PowerGuard power, std::unique_ptr<Registers> registers)
    : host_(host),
      bdf_(device.bdf),
      reset_limit_(device.reset_methods == "flr" ? kFlrLimit : kAnyResetLimit),
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

Session::~Session() {
  if (stuck_) power_.Abandon();
}

absl::Status Session::Start(const MayReset& may_reset) {
  GPUHOST_TRY(WaitForBoot(view_, host_.clock));
  GPUHOST_ASSIGN(identity_, ReadChecked(*registers_, kBootIdentity, "PMC_BOOT_0"));
  const absl::Status connected = firmware_.Connect();
  const bool dead = absl::IsDeadlineExceeded(connected) || absl::IsDataLoss(connected);
  return dead && may_reset ? Revive(connected, may_reset) : connected;
}

// Of a device that a virtual machine has claimed meanwhile the registers do not answer.
absl::Status Session::Revive(const absl::Status& dead, const MayReset& may_reset) {
  GPUHOST_TRY(CheckAlive(view_));
  const auto failed = [&dead](const absl::Status& why) {
    return Error(why.code(), "{}; reset for that: {}", Text(dead), Text(why));
  };
  if (const absl::Status may = may_reset(); !may.ok()) return failed(may);
  if (const absl::Status reset = Reset(); !reset.ok()) return failed(reset);
  const absl::Status connected = firmware_.Connect();
  return connected.ok() ? connected : failed(connected);
}

absl::StatusOr<uint32_t> Session::ReadModeWord() {
  return ReadChecked(*registers_, chip_.layout->mode, "mode register");
}

absl::Status Session::Reset() {
  const absl::Status written =
      host_.fs.WriteWithin(reset_limit_, pci::SysfsPath(bdf_, "reset"), "1");
  stuck_ = absl::IsDeadlineExceeded(written);
  // ENOTTY: the last of the kernel's methods has failed. Source: __pci_reset_function_locked().
  if (absl::IsInvalidArgument(written)) {
    return Error(written.code(), "it did not come back from its reset, power-cycle the machine: {}",
                 Text(written));
  }
  GPUHOST_TRY(written);
  GPUHOST_TRY(WaitForBar0(view_.config, view_.layout, host_.clock));
  GPUHOST_TRY(WaitForBoot(view_, host_.clock));
  GPUHOST_ASSIGN(const uint32_t after, ReadChecked(*registers_, kBootIdentity, "PMC_BOOT_0"));
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
  if (bar0 == Bar0State::kUnknown)
    GPUHOST_TRY(WaitForBar0(view_.config, view_.layout, host_.clock));
  GPUHOST_TRY(CheckAlive(view_));
  return firmware_.Connect();
}

}  // namespace gpuhost::gpu
