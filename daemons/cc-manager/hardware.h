// SPDX-License-Identifier: Apache-2.0
//
// All that cc-manager can do to devices. The privileged side of the program implements it and
// refuses whatever is not safe, whoever asks; the other side decides when.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/cc/mode.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::cc_manager {

// One GPU or NVSwitch.
struct DeviceView {
  pci::Bdf bdf;
  std::optional<cc::State> state;    // effective; empty: unknown, see `error`
  std::optional<cc::State> pending;  // what the next reset brings; empty: not asked
  std::string error;                 // cause and remedy; empty: all well
  std::string in_use_by;             // "qemu-system-x86 (pid 4711)"; empty: nobody
  bool settled = false;              // in the mode that is asked for; left alone while in use
  bool reset = false;                // has been reset by this change
};

// The node as it is, held against a wanted mode.
struct Survey {
  // Whether a change to the mode may begin, see cc::Admit, and, where the firmware was asked, what
  // it said against it; kNotFound: no GPU.
  absl::Status admission;
  bool busy = false;  // it may not, and only because somebody has devices open
  // Nothing is known to do: no device is known to be in another mode or to be armed. A device that
  // has been in use since the first look is not known to be in any mode; it is not settled itself.
  bool settled = false;
  std::vector<DeviceView> devices;
};

// How far a change has come.
struct Progress {
  absl::Status status;  // OK, or the first error in words; see each step for what is undone then
  std::vector<DeviceView> devices;
  bool written = true;              // knobs may have been written, and put back since
  Duration open{}, arm{}, reset{};  // wall time of each phase so far
};

// One change at a time: Arm, then Disarm or Reset. An error of the StatusOr itself means that the
// hardware side could not be asked (kUnavailable: it is gone).
class Hardware {
 public:
  virtual ~Hardware() = default;

  // Changes nothing; with `ask_firmware` the firmware of devices that nobody uses is asked for the
  // pending mode and whether their knobs may be set for `mode`, which wakes them and sends
  // messages.
  virtual absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) = 0;

  // Looks again whether the change may begin, keeps everybody else from opening the devices, opens
  // them and writes the knobs of those that need it. If anything fails, all are put back and
  // closed. kResourceExhausted in the progress: changed too often, see ArmLimit.
  virtual absl::StatusOr<Progress> Arm(cc::Mode mode) = 0;

  // Ends a change that has been armed: puts back what it wrote. Where there is none, brings the
  // pending mode of devices that nobody uses back to the effective one, whoever armed them; needs
  // no wanted mode and resets nothing. kFailedPrecondition in the progress when nothing is armed.
  virtual absl::StatusOr<Progress> Disarm() = 0;

  // Goes on with a change that has been armed: resets all devices that need it, waits for their
  // boot, verifies each. A device that fails does not stop the others. A device that somebody
  // opened since Arm refuses the step, before any reset, and all are disarmed.
  virtual absl::StatusOr<Progress> Reset() = 0;
};

}  // namespace gpuhost::cc_manager
