// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/knobs.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc {
namespace {

// The value of a knob, 0 for one that the firmware does not know.
struct Found {
  uint16_t value = 0;
  bool known = false;
};

absl::StatusOr<Found> Find(gpu::Prc& firmware, gpu::Knob knob) {
  const auto value = firmware.Read(knob);
  if (value.ok()) return Found{*value, true};
  if (absl::IsNotFound(value.status())) return Found{};
  return value.status();
}

absl::Status CheckPermission(gpu::Prc& firmware, gpu::Knob knob) {
  GPUHOST_ASSIGN(const bool allowed, firmware.MayChange(knob));
  if (allowed) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} is locked against changes from the host; change it through the BMC",
               gpu::KnobName(knob));
}

// Devtools without CC is a state from which a device does not boot properly. One that is in it
// already may take a step or two to leave it.
absl::Status CheckOrder(const KnobChange& change, std::map<gpu::Knob, uint16_t> pending) {
  State before = PendingState(pending);
  for (const KnobChange::Write& write : change.writes) {
    pending[write.knob] = write.after;
    const State after = PendingState(pending);
    if (after == State::kInvalid && before != State::kInvalid) {
      return Error(absl::StatusCode::kInternal,
                   "{}={} would leave devtools without CC; this is an error of gpuhost",
                   gpu::KnobName(write.knob), write.after);
    }
    before = after;
  }
  return absl::OkStatus();
}

absl::Status CheckKnob(gpu::Prc& firmware, const KnobStep& wanted, std::string_view when) {
  GPUHOST_ASSIGN(const Found found, Find(firmware, wanted.knob));
  if (found.value == wanted.value) return absl::OkStatus();
  return Error(absl::StatusCode::kInternal,
               "{} is {} {} instead of {}; its firmware did not keep it: update the VBIOS",
               gpu::KnobName(wanted.knob), found.value, when, wanted.value);
}

}  // namespace

absl::StatusOr<KnobChange> PrepareKnobs(gpu::Prc& firmware, std::span<const KnobStep> steps) {
  KnobChange change;
  std::map<gpu::Knob, uint16_t> pending;
  for (const KnobStep& step : steps) {
    GPUHOST_ASSIGN(const Found found, Find(firmware, step.knob));
    pending[step.knob] = found.value;
    change.undo.insert(change.undo.begin(), {step.knob, found.value});
    if (found.value == step.value) continue;
    if (!found.known) {
      return Error(absl::StatusCode::kUnimplemented,
                   "its firmware does not know {}; update the VBIOS", gpu::KnobName(step.knob));
    }
    GPUHOST_TRY(CheckPermission(firmware, step.knob));
    change.writes.push_back({step.knob, found.value, step.value});
  }
  GPUHOST_TRY(CheckOrder(change, pending));
  change.pending_before = PendingState(pending);
  return change;
}

absl::Status WriteKnobs(gpu::Prc& firmware, const KnobChange& change) {
  for (const KnobChange::Write& write : change.writes) {
    GPUHOST_TRY(firmware.Write(write.knob, write.after));
    GPUHOST_TRY(CheckKnob(firmware, {write.knob, write.after}, "after it was written"));
  }
  return absl::OkStatus();
}

absl::Status VerifyKnobs(gpu::Prc& firmware, std::span<const KnobStep> steps) {
  for (const KnobStep& step : steps) {
    GPUHOST_TRY(CheckKnob(firmware, step, "after the change"));
  }
  return absl::OkStatus();
}

bool NeedsReset(const KnobChange& change, State wanted) {
  return wanted != State::kOff && change.pending_before == wanted &&
         std::ranges::any_of(change.writes, [](const KnobChange::Write& write) {
           using enum gpu::Knob;
           const bool feature =
               write.knob == kFeature2 || write.knob == kFeature4 || write.knob == kFeature34;
           return feature || (write.knob == kBar0Decoupler && write.after != 0);
         });
}

absl::Status RestoreKnobs(gpu::Prc& firmware, const KnobChange& change) {
  if (change.pending_before == State::kInvalid) {
    return absl::FailedPreconditionError("devtools without CC, armed before, is not written again");
  }
  GPUHOST_ASSIGN(const KnobChange back, PrepareKnobs(firmware, change.undo));
  return WriteKnobs(firmware, back);
}

absl::StatusOr<State> ReadPending(gpu::Prc& firmware) {
  std::map<gpu::Knob, uint16_t> knobs;
  for (const gpu::Knob knob : {gpu::Knob::kPpcie, gpu::Knob::kCcMode, gpu::Knob::kCcDevtools}) {
    GPUHOST_ASSIGN(const Found found, Find(firmware, knob));
    knobs[knob] = found.value;
  }
  return PendingState(knobs);
}

}  // namespace gpuhost::cc
