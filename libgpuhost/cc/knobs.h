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
  size_t written = 0;  // how many of them have been tried
  State pending_before = State::kOff;
};

// Asks the firmware for every knob of `steps`. A knob that it does not know counts as 0 and is left
// alone; to set such a one is kUnimplemented. kFailedPrecondition when a knob must change and
// host software may not (the board's management controller has locked it); kInternal when the steps
// would pass through devtools without CC. Writes no knob.
absl::StatusOr<KnobChange> PrepareKnobs(gpu::Prc& firmware, std::span<const KnobStep> steps);

// Writes them in order; after an error some may be written.
absl::Status WriteKnobs(gpu::Prc& firmware, KnobChange& change);

// Undoes what WriteKnobs did, last first, so that it passes through the same states.
absl::Status RestoreKnobs(gpu::Prc& firmware, KnobChange& change);

// Asks the firmware which state the next reset brings.
absl::StatusOr<State> ReadPending(gpu::Prc& firmware);

}  // namespace gpuhost::cc
