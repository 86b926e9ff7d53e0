// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/device_change.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::cc {

void DeviceChange::Open() {
  // Whoever made this change has seen that nobody uses the device.
  auto session = gpu::Session::Open(host_, device_, [] { return absl::OkStatus(); });
  if (!session.ok()) return Fail(session.status());
  session_ = *std::move(session);
  const auto before = ReadState();
  if (!before.ok()) return Fail(before.status());
  result_.before = *before;
  plan_ = PlanDevice(device_.bdf, session_->chip().architecture, *before, mode_);
  auto knobs = PrepareKnobs(session_->firmware(), plan_.knobs);
  if (!knobs.ok()) return Fail(knobs.status());
  knobs_ = *std::move(knobs);
  plan_.reset = plan_.reset || NeedsReset(knobs_, plan_.expected);
  result_.reset = plan_.reset;
  result_.pending = knobs_.pending_before;
}

void DeviceChange::Arm() {
  if (const absl::Status armed = WriteKnobs(session_->firmware(), knobs_); !armed.ok()) {
    result_.pending.reset();
    Fail(armed);
  } else {
    result_.pending = plan_.expected;
  }
}

void DeviceChange::Disarm() {
  if (knobs_.writes.empty()) return;
  if (const absl::Status status = RestoreKnobs(session_->firmware(), knobs_); !status.ok()) {
    StaysArmed(status);
  } else {
    result_.pending = knobs_.pending_before;
  }
}

void DeviceChange::ResetAndVerify() {
  absl::Status status = TryReset();
  const bool gone = absl::IsNotFound(status);
  if (!status.ok() && plan_.reset && !session_->stuck() && !gone) status = TryAgain(status);
  result_.stuck = session_->stuck();
  if (status.ok()) return;
  Fail(status);
  DisarmAfterReset();
}

void DeviceChange::Abort(const std::string& why) {
  if (ok()) result_.status = absl::AbortedError(why);
  result_.after = result_.before;
  result_.reset = false;
}

absl::StatusOr<State> DeviceChange::ReadState() {
  GPUHOST_ASSIGN(const uint32_t word, session_->ReadModeWord());
  return DecodeState(session_->chip().layout->mode_word, word);
}

absl::Status DeviceChange::TryReset() {
  result_.after.reset();
  if (plan_.reset) GPUHOST_TRY(session_->Reset());
  GPUHOST_ASSIGN(const State after, ReadState());
  result_.after = after;
  if (after != plan_.expected) {
    return Error(absl::StatusCode::kInternal,
                 "is {} after the reset instead of {}; its firmware did not take the new mode",
                 ToString(after), ToString(plan_.expected));
  }
  if (plan_.reset) GPUHOST_TRY(session_->Reconnect());
  return VerifyKnobs(session_->firmware(), plan_.knobs);
}

// Only a device that answers can be armed anew; of the others another reset may make one.
absl::Status DeviceChange::TryAgain(const absl::Status& first) {
  const auto rearm = [this]() -> absl::Status {
    if (!session_->Reconnect().ok()) return absl::OkStatus();
    GPUHOST_ASSIGN(const KnobChange knobs, PrepareKnobs(session_->firmware(), plan_.knobs));
    return WriteKnobs(session_->firmware(), knobs);
  };
  if (const absl::Status armed = rearm(); !armed.ok()) {
    return Error(first.code(), "{}; it cannot be armed again: {}", Text(first), Text(armed));
  }
  return Annotate(TryReset(), "twice reset");
}

// The mode has not been taken. What is still armed for it would be switched by whoever resets the
// device next, be it the start of a virtual machine.
void DeviceChange::DisarmAfterReset() {
  result_.pending.reset();
  if (session_->stuck() || !session_->Reconnect().ok()) return;
  const auto now = ReadState();
  if (!now.ok() || *now == plan_.expected) return;
  Disarm();
}

void DeviceChange::Fail(const absl::Status& status) {
  if (ok()) result_.status = status;
}

void DeviceChange::StaysArmed(const absl::Status& why) {
  const std::string text = fmt::format("it stays armed ({}); switch the mode again", Text(why));
  result_.pending.reset();
  result_.status = ok() ? absl::Status(why.code(), text)
                        : Error(result_.status.code(), "{}; {}", Text(result_.status), text);
}

}  // namespace gpuhost::cc
