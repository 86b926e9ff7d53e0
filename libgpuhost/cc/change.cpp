// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/change.h"

#include <algorithm>

#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/device_change.h"

namespace gpuhost::cc {
namespace {

constexpr std::string_view kAnotherFailed = "not switched: another GPU failed";

// Adds the time until it goes out of scope.
class Stopwatch {
 public:
  Stopwatch(Clock& clock, Duration& total) : clock_(clock), total_(total), start_(clock.Now()) {}
  ~Stopwatch() { total_ += clock_.Now() - start_; }

 private:
  Clock& clock_;
  Duration& total_;
  TimePoint start_;
};

}  // namespace

Change::Change(const gpu::Host& host, std::span<const Observation> observations, Mode mode)
    : clock_(host.clock) {
  for (const Observation& seen : observations) {
    if (TakesPart(seen, mode)) {
      devices_.push_back(std::make_unique<DeviceChange>(host, seen, mode));
    } else {
      const auto state = seen.state.ok() ? std::optional<State>(*seen.state) : std::nullopt;
      bystanders_.push_back({.bdf = seen.device.bdf, .before = state, .after = state});
    }
  }
}

Change::~Change() {
  if (armed_) Disarm("not switched: given up").IgnoreError();
}

absl::Status Change::Open() {
  const Stopwatch watch(clock_, timing_.open);
  ForAll(&DeviceChange::Open);
  return AllOk() ? absl::OkStatus() : Abort(kAnotherFailed);
}

absl::Status Change::Arm() {
  const Stopwatch watch(clock_, timing_.arm);
  armed_ = true;
  ForAll(&DeviceChange::Arm);
  return AllOk() ? absl::OkStatus() : Disarm(kAnotherFailed);
}

absl::Status Change::Disarm(std::string_view why) {
  armed_ = false;
  ForAll(&DeviceChange::Disarm);
  return Abort(why);
}

absl::Status Change::ResetAndVerify() {
  const Stopwatch watch(clock_, timing_.reset);
  armed_ = false;
  ForAll(&DeviceChange::ResetAndVerify);
  return outcome().status;
}

Outcome Change::outcome() const {
  Outcome outcome{.devices = bystanders_, .timing = timing_};
  for (const auto& device : devices_) outcome.devices.push_back(device->result());
  std::ranges::sort(outcome.devices, {}, &DeviceResult::bdf);
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

void Change::ForAll(void (DeviceChange::*step)()) {
  InParallel(devices_.size(), [&](size_t i) { (devices_[i].get()->*step)(); });
}

absl::Status Change::Abort(std::string_view why) {
  for (const auto& device : devices_) device->Abort(std::string(why));
  return outcome().status;
}

bool Change::AllOk() const {
  return std::ranges::all_of(devices_, [](const auto& device) { return device->ok(); });
}

}  // namespace gpuhost::cc
