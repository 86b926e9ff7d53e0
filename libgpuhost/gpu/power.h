// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::gpu {

// Keeps a device awake and decoding memory while it is changed: sysfs `power/control`, the power
// state in PMCSR, memory space in COMMAND. Puts back what it found when it goes out of scope.
class PowerGuard {
 public:
  // kPermissionDenied under kernel lockdown, when a configuration write is needed; kNotFound when
  // the device is gone; kUnavailable when its configuration space reads all ones.
  static absl::StatusOr<PowerGuard> Wake(HostFs& fs, Clock& clock, const pci::Bdf& bdf);

  PowerGuard(PowerGuard&& other) noexcept;
  PowerGuard& operator=(PowerGuard&&) = delete;
  // Puts nothing back: the kernel would not come back from touching the device.
  void Abandon();
  ~PowerGuard();

 private:
  PowerGuard(HostFs& fs, const pci::Bdf& bdf) : fs_(&fs), bdf_(bdf) {}

  HostFs* fs_;
  pci::Bdf bdf_;
  std::optional<std::string> control_;  // earlier text of power/control, when it was changed
  std::optional<uint16_t> command_;     // earlier COMMAND, when it was changed
};

// What a reader finds without waking anything: true when the device is in D0 and decodes memory.
// kUnavailable when its configuration space reads all ones. Reads only.
absl::StatusOr<bool> IsAwake(HostFs& fs, const pci::Bdf& bdf);

}  // namespace gpuhost::gpu
