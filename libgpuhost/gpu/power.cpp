// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/power.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/config_space.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::gpu {
namespace {

constexpr Duration kD3ToD0 = std::chrono::milliseconds(10);  // PCI Power Management 1.2, 5.6.1

absl::StatusOr<uint16_t> ReadCommand(const pci::ConfigSpace& config) {
  GPUHOST_ASSIGN(const uint16_t command, config.Read16(pci::kCommand));
  if (command != 0xffff) return command;
  return absl::UnavailableError(
      "does not answer (configuration space reads all ones): it fell off the bus; power-cycle the "
      "machine");
}

absl::Status LeaveD3Hot(pci::ConfigSpace& config, Clock& clock) {
  GPUHOST_ASSIGN(const auto capability, config.FindCapability(pci::kPowerManagementCapability));
  if (!capability) return absl::OkStatus();
  const off_t pmcsr = *capability + pci::kPmcsr;
  GPUHOST_ASSIGN(const uint16_t state, config.Read16(pmcsr));
  if ((state & pci::kPmcsrStateMask) == 0) return absl::OkStatus();
  GPUHOST_TRY(config.Write16(pmcsr, static_cast<uint16_t>(state & ~pci::kPmcsrStateMask)));
  clock.SleepFor(kD3ToD0);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PowerGuard> PowerGuard::Wake(HostFs& fs, Clock& clock, const pci::Bdf& bdf) {
  PowerGuard guard(fs, bdf);
  const std::string path = pci::SysfsPath(bdf, "power/control");
  const auto control = fs.ReadAttribute(path);
  if (control.ok() && *control != "on") {
    GPUHOST_TRY(fs.Write(path, "on"));
    guard.control_ = *control;
  }
  pci::ConfigSpace config(fs, bdf);
  GPUHOST_ASSIGN(const uint16_t command, ReadCommand(config));
  GPUHOST_TRY(LeaveD3Hot(config, clock));
  if ((command & pci::kCommandMemory) == 0) {
    GPUHOST_TRY(config.Write16(pci::kCommand, command | pci::kCommandMemory));
    guard.command_ = command;
  }
  return guard;
}

PowerGuard::PowerGuard(PowerGuard&& other) noexcept
    : fs_(other.fs_),
      bdf_(other.bdf_),
      control_(std::move(other.control_)),
      command_(other.command_) {
  other.control_.reset();
  other.command_.reset();
}

void PowerGuard::Abandon() {
  control_.reset();
  command_.reset();
}

PowerGuard::~PowerGuard() {
  // A device that is gone by now has nothing to be put back.
  if (command_) pci::ConfigSpace(*fs_, bdf_).Write16(pci::kCommand, *command_).IgnoreError();
  if (control_) fs_->Write(pci::SysfsPath(bdf_, "power/control"), *control_).IgnoreError();
}

absl::StatusOr<bool> IsAwake(HostFs& fs, const pci::Bdf& bdf) {
  const std::string state =
      fs.ReadAttribute(pci::SysfsPath(bdf, "power_state")).value_or("unknown");
  if (state.starts_with("D3")) return false;
  GPUHOST_ASSIGN(const uint16_t command, ReadCommand(pci::ConfigSpace(fs, bdf)));
  return (command & pci::kCommandMemory) != 0;
}

}  // namespace gpuhost::gpu
