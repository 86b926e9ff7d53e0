// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/execute.h"

#include <algorithm>
#include <memory>

#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/knobs.h"
#include "libgpuhost/gpu/session.h"

namespace gpuhost::cc {
namespace {

// One device on its way through the phases; each phase runs on a thread of its own.
class Worker {
 public:
  Worker(const gpu::Host& host, const Observation& seen, Mode mode)
      : host_(host), device_(seen.device), mode_(mode), result_{.bdf = seen.device.bdf} {}

  void Open() {
    auto session = gpu::Session::Open(host_, device_);
    if (!session.ok()) return Fail(session.status());
    session_ = *std::move(session);
    const auto before = ReadState();
    if (!before.ok()) return Fail(before.status());
    result_.before = *before;
    plan_ = PlanDevice(device_.bdf, session_->chip().architecture, *before, mode_);
    result_.reset = plan_.reset;
    auto change = PrepareKnobs(session_->firmware(), plan_.knobs);
    if (!change.ok()) return Fail(change.status());
    change_ = *std::move(change);
    result_.pending = change_.pending_before;
  }

  void Arm() {
    if (const absl::Status armed = WriteKnobs(session_->firmware(), change_); !armed.ok()) {
      Fail(armed);
    } else {
      result_.pending = plan_.expected;
    }
  }

  // Puts back the knobs that Arm wrote. Only a device that fails even that stays armed.
  void Disarm() {
    if (change_.written == 0) return;
    if (const absl::Status status = RestoreKnobs(session_->firmware(), change_); !status.ok()) {
      Fail(Annotate(status, "it stays armed; switch the mode again"));
    } else {
      result_.pending = change_.pending_before;
    }
  }

  // A device that does not come back as it should gets one more try, from the knobs on.
  void ResetAndVerify() {
    absl::Status status = TryReset();
    if (!status.ok() && plan_.reset && !session_->stuck()) {
      const absl::Status again = Rearm().ok() ? TryReset() : status;
      status = again.ok() ? again : Annotate(again, "twice reset");
    }
    if (!status.ok()) Fail(status);
  }

  void Abort() {
    if (result_.status.ok())
      result_.status = absl::AbortedError("not switched: another GPU failed");
    result_.after = result_.before;
    result_.reset = false;
  }

  const DeviceResult& result() const { return result_; }
  bool ok() const { return result_.status.ok(); }

 private:
  absl::StatusOr<State> ReadState() {
    GPUHOST_ASSIGN(const uint32_t word, session_->ReadModeWord());
    return DecodeState(session_->chip().layout->mode_word, word);
  }

  absl::Status TryReset() {
    result_.after.reset();
    if (plan_.reset) GPUHOST_TRY(session_->Reset());
    GPUHOST_ASSIGN(const State after, ReadState());
    result_.after = after;
    if (after == plan_.expected) return absl::OkStatus();
    return Error(absl::StatusCode::kInternal,
                 "is {} after the reset instead of {}; its firmware did not take the new mode",
                 ToString(after), ToString(plan_.expected));
  }

  // Only a device that answers can be armed anew; of the others another reset may make one.
  absl::Status Rearm() {
    if (!session_->Reconnect().ok()) return absl::OkStatus();
    GPUHOST_ASSIGN(KnobChange change, PrepareKnobs(session_->firmware(), plan_.knobs));
    return WriteKnobs(session_->firmware(), change);
  }

  void Fail(const absl::Status& status) {
    if (result_.status.ok()) result_.status = status;
  }

  const gpu::Host& host_;
  const pci::Device& device_;
  Mode mode_;
  DeviceResult result_;
  std::unique_ptr<gpu::Session> session_;
  DevicePlan plan_;
  KnobChange change_;
};

class Change {
 public:
  Change(const gpu::Host& host, std::span<const Observation> observations, Mode mode,
         const OnPhase& on_phase)
      : clock_(host.clock), on_phase_(on_phase) {
    for (const Observation& seen : observations) {
      if (TakesPart(seen, mode)) {
        workers_.push_back(std::make_unique<Worker>(host, seen, mode));
      } else {
        const auto state = seen.state.ok() ? std::optional<State>(*seen.state) : std::nullopt;
        bystanders_.push_back({.bdf = seen.device.bdf, .before = state, .after = state});
      }
    }
  }

  Outcome Run() {
    Phase(timing_.open, &Worker::Open);
    if (!AllOk()) return Aborted();
    Announce("arming");
    Phase(timing_.arm, &Worker::Arm);
    if (!AllOk()) {
      Duration unused{};
      Phase(unused, &Worker::Disarm);
      return Aborted();
    }
    Announce("resetting");
    Phase(timing_.reset, &Worker::ResetAndVerify);
    return Finish();
  }

 private:
  void Phase(Duration& took, void (Worker::*step)()) {
    const TimePoint start = clock_.Now();
    InParallel(workers_.size(), [&](size_t i) { (workers_[i].get()->*step)(); });
    took = clock_.Now() - start;
  }

  bool AllOk() const {
    return std::ranges::all_of(workers_, [](const auto& worker) { return worker->ok(); });
  }

  std::vector<DeviceResult> Results() const {
    std::vector<DeviceResult> results = bystanders_;
    for (const auto& worker : workers_) results.push_back(worker->result());
    std::ranges::sort(results, {}, &DeviceResult::bdf);
    return results;
  }

  void Announce(std::string_view phase) const {
    if (on_phase_) on_phase_(phase, Results());
  }

  Outcome Aborted() {
    for (const auto& worker : workers_) worker->Abort();
    return Finish();
  }

  Outcome Finish() const {
    Outcome outcome{.devices = Results(), .timing = timing_};
    std::string text;
    absl::StatusCode code = absl::StatusCode::kOk;
    for (const DeviceResult& device : outcome.devices) {
      if (device.status.ok() || absl::IsAborted(device.status)) continue;
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", device.bdf, Text(device.status));
      if (code == absl::StatusCode::kOk) code = device.status.code();
    }
    outcome.status = absl::Status(code, text);
    return outcome;
  }

  Clock& clock_;
  const OnPhase& on_phase_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<DeviceResult> bystanders_;
  Timing timing_;
};

}  // namespace

Outcome ChangeMode(const gpu::Host& host, std::span<const Observation> observations, Mode mode,
                   const OnPhase& on_phase) {
  return Change(host, observations, mode, on_phase).Run();
}

}  // namespace gpuhost::cc
