// SPDX-License-Identifier: Apache-2.0
//
// A change of mode of all devices of a node, step by step: whoever carries it out can look around
// between two steps and turn back before the first reset.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
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
  std::optional<State> pending;  // what the next reset brings; empty: not asked, or not known
  bool reset = false;            // was (to be) reset
  bool stuck = false;  // the kernel has not come back from the reset: whoever touches it hangs too
};

// Wall time of each phase: all devices are in the same phase at the same time.
struct Timing {
  Duration open{}, arm{}, reset{};
};

struct Outcome {
  absl::Status status;  // OK: no device has failed so far; else the first error in words
  std::vector<DeviceResult> devices;
  Timing timing;
};

class DeviceChange;

// Open, then Arm, then Disarm or ResetAndVerify; each once, on all devices in parallel. A step that
// fails undoes the change so far, and the devices that have not failed report kAborted.
// A device that is in `mode` already is not reset, unless a knob was wrong of which the register of
// the mode says nothing (see NeedsReset); a pending other mode is disarmed.
class Change {
 public:
  // The devices have been admitted (see Admit).
  Change(const gpu::Host& host, std::span<const Observation> observations, Mode mode);
  // Disarms what is armed and not reset.
  ~Change();
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  // Locks and wakes each device, waits for its boot, connects to its firmware, reads the effective
  // state, compares the knobs with the plan and checks that they may be changed. Writes no knob.
  absl::Status Open();

  // Writes the knobs that differ and reads them back. If a device fails, all are disarmed.
  absl::Status Arm();

  // Puts back the knobs that Arm wrote; the devices report kAborted with `why`. A device that fails
  // to be disarmed says that it stays armed.
  absl::Status Disarm(std::string_view why);

  // Function-level reset where the plan has one, wait for boot, read the effective state again and
  // every knob that the mode names. It goes forward: a device that fails does not stop the others
  // from being verified. A device that does not come back as it should is armed and reset once
  // more; one that then is not in the mode is disarmed, if it answers.
  absl::Status ResetAndVerify();

  bool armed() const { return armed_; }
  Outcome outcome() const;

 private:
  void ForAll(void (DeviceChange::*step)());
  absl::Status Abort(std::string_view why);
  bool AllOk() const;

  Clock& clock_;
  std::vector<std::unique_ptr<DeviceChange>> devices_;
  std::vector<DeviceResult> bystanders_;
  Timing timing_;
  bool armed_ = false;
};

}  // namespace gpuhost::cc
