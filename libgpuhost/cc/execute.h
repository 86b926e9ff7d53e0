// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "libgpuhost/cc/plan.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::cc {

struct DeviceResult {
  pci::Bdf bdf;
  absl::Status status;
  std::optional<State> before;   // effective before the change; empty: could not be read
  std::optional<State> after;    // effective after it; empty: could not be read
  std::optional<State> pending;  // what the next reset brings; empty: not asked
  bool reset = false;            // was (to be) reset
};

// Wall time of each phase: all devices are in the same phase at the same time.
struct Timing {
  Duration open{}, arm{}, reset{};
};

struct Outcome {
  absl::Status status;  // OK: every device is in the wanted state; else the first error in words
  std::vector<DeviceResult> devices;
  Timing timing;
};

// Before each phase that writes to devices: "arming", "resetting". The plans are complete then.
using OnPhase = std::function<void(std::string_view phase, std::span<const DeviceResult> devices)>;

// Brings all devices to `mode`, each phase on all of them in parallel:
//   open    lock, wake, wait for boot, connect to the firmware, read the effective state
//   arm     compare the knobs with the plan, check that they may be changed, write what differs
//   reset   function-level reset, wait for boot
//   verify  read the effective state again
// The devices have been admitted (see Admit). If any device fails to open or to arm, what was armed
// is put back, nothing is reset, and the others report kAborted. From the first reset on it goes
// forward: a device that fails does not stop the others from being verified.
// A device that is in `mode` already is not reset; a pending other mode is disarmed.
Outcome ChangeMode(const gpu::Host& host, std::span<const Observation> observations, Mode mode,
                   const OnPhase& on_phase);

}  // namespace gpuhost::cc
