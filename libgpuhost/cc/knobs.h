// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <span>
#include <vector>

#include "libgpuhost/cc/plan.h"
#include "libgpuhost/gpu/prc.h"

namespace gpuhost::cc {

// The knobs of one device that differ from a plan, with what they were.
struct KnobChange {
  struct Write {
    gpu::Knob knob;
    uint16_t before, after;
  };
  std::vector<Write> writes;
  std::vector<KnobStep> undo;  // all knobs of the plan as they were, last first
  State pending_before = State::kOff;
};

// Asks the firmware for every knob of `steps`. A knob that it does not know counts as 0 and is left
// alone; to set such a one is kUnimplemented. kFailedPrecondition when a knob must change and
// host software may not (the board's management controller has locked it); kInternal when the steps
// would pass through devtools without CC. Writes no knob.
absl::StatusOr<KnobChange> PrepareKnobs(gpu::Prc& firmware, std::span<const KnobStep> steps);

// Writes them in order and reads each back: kInternal when one has not the value that was written.
// After an error some may be written.
absl::Status WriteKnobs(gpu::Prc& firmware, const KnobChange& change);

// Whether the firmware has all knobs as `steps` want them, one that it does not know counting as 0:
// kInternal with the first that differs, what was wanted and what was found.
absl::Status VerifyKnobs(gpu::Prc& firmware, std::span<const KnobStep> steps);

// Whether a device whose effective mode is `wanted` already must be reset for what `change` writes:
// the register of the mode does not show BAR0 decoupler and features, so a mode that needs them to
// be right has them for certain only after a reset. One that is armed for another mode was armed
// since it booted, and is only disarmed.
bool NeedsReset(const KnobChange& change, State wanted);

// Undoes what WriteKnobs did, however far it came, last first, so that it passes through the same
// states. Writes only what differs. kFailedPrecondition when they were invalid.
absl::Status RestoreKnobs(gpu::Prc& firmware, const KnobChange& change);

// Asks the firmware which state the next reset brings.
absl::StatusOr<State> ReadPending(gpu::Prc& firmware);

}  // namespace gpuhost::cc
