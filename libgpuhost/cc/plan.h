// SPDX-License-Identifier: Apache-2.0
//
// What a change of mode does, as data. Everything here is a pure function.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "libgpuhost/cc/mode.h"
#include "libgpuhost/cc/observe.h"
#include "libgpuhost/gpu/prc.h"

namespace gpuhost::cc {

// "This knob shall have this value." Steps are carried out in order, and only where they differ.
struct KnobStep {
  gpu::Knob knob;
  uint16_t value;
  bool operator==(const KnobStep&) const = default;
};

// The knobs of a device in a node of that mode, in the order in which they may be written: CC mode
// is set before devtools and cleared after it, protected PCIe is cleared before CC mode is set and
// set last. So no step leaves devtools without CC, and a change between any two modes needs one
// reset. Empty for a chip without modes. Source: writing order of gpu-admin-tools.
std::span<const KnobStep> KnobsOf(Mode mode, gpu::Architecture architecture);

// The state that the next reset brings, from the pending knobs 6, 8 and 45.
State PendingState(const std::map<gpu::Knob, uint16_t>& knobs);

struct Policy {
  bool force = false;  // also devices that somebody has open
};

// Refuses the whole change, before anything is touched, with one text that names each device in the
// way and the remedy; OK when every device can make it. Asleep and booting devices pass.
//   kNotFound            there is no device to switch
//   kUnimplemented       a device cannot have this mode
//   kFailedPrecondition  in use, held by a driver, not reset by its function-level reset first
//   kDataLoss            a device is dead
absl::Status Admit(std::span<const Observation> observations, Mode mode, const Policy& policy);

// Whether a device takes part in a change to `mode`. These do not: one without modes, when it need
// not have this one, and one that is in its state already but in use or held by a driver.
bool TakesPart(const Observation& observation, Mode mode);

struct DevicePlan {
  pci::Bdf bdf;
  std::vector<KnobStep> knobs;
  bool reset = false;  // false: effective already; the knobs are only checked (and disarmed)
  State expected = State::kOff;
};

// For a device whose effective state is known.
DevicePlan PlanDevice(const pci::Bdf& bdf, gpu::Architecture architecture, State effective,
                      Mode mode);

// "0000:41:00.0: cc-mode=1 cc-devtools=0, then reset, expect on".
std::string ToString(const DevicePlan& plan);

}  // namespace gpuhost::cc
