// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/manager.h"

#include <algorithm>
#include <random>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/host.h"

namespace gpuhost::cc_manager {
namespace {

using Kind = Obstacle::Kind;

constexpr Duration kLookAgain = std::chrono::seconds(1);      // for neighbours
constexpr Duration kLongestPause = std::chrono::seconds(10);  // for users, who may take days

std::string NewTransition() { return fmt::format("{:08x}", std::random_device()()); }

bool InUse(const std::vector<DeviceView>& devices) {
  return std::ranges::any_of(devices, [](const auto& device) { return !device.in_use_by.empty(); });
}

}  // namespace

Manager::Manager(World world, const Settings& settings)
    : world_(std::move(world)),
      settings_(settings),
      quiet_(world_.fs, world_.clock, world_.node, settings_) {}

Manager::Result Manager::Settle() {
  while (true) {
    const auto wanted = world_.wanted();
    if (absl::IsInvalidArgument(wanted.status())) return Fail(std::nullopt, wanted.status(), {});
    if (!wanted.ok()) return {.status = wanted.status()};
    auto survey = world_.hardware.Query(*wanted, !firmware_asked_);
    if (!survey.ok()) return Gone(survey.status());
    firmware_asked_ = true;
    times_gone_ = 0;
    LookWhetherCapable();
    if (survey->settled || absl::IsNotFound(survey->admission)) {
      return Reach(*wanted, std::move(survey->devices));
    }
    if (!survey->admission.ok() && !survey->busy) {
      return Fail(*wanted, survey->admission, std::move(survey->devices));
    }
    switch (MakeQuiet(*wanted, *std::move(survey))) {
      case Go::kOn:
        if (auto result = Switch(*wanted)) return *std::move(result);
        break;
      case Go::kAgain:
        break;
      case Go::kStopped:
        return Stop();
      case Go::kFailed:
        return Fail(*wanted, failure_, stand_.devices);
    }
  }
}

bool Manager::HasWork(const Result& last, bool devices_changed) {
  const auto wanted = world_.wanted();
  if (!wanted.ok()) return wanted.status() != last.status;
  if (wanted.value() != last.mode) return true;
  if (!devices_changed) return false;
  const auto survey = world_.hardware.Query(*wanted, false);
  return !survey.ok() || !survey->settled;
}

bool Manager::OtherModeWanted(cc::Mode mode) const {
  const auto wanted = world_.wanted();
  return wanted.ok() ? *wanted != mode : absl::IsInvalidArgument(wanted.status());
}

Manager::Go Manager::Wait(cc::Mode mode, Duration limit) {
  if (world_.wakeup.Wait(limit).stop) return Go::kStopped;
  return OtherModeWanted(mode) ? Go::kAgain : Go::kOn;
}

void Manager::BeginChange(cc::Mode mode, const Survey& survey) {
  if (stand_.transition.empty()) {
    stand_.transition = NewTransition();
    change_began_ = world_.clock.Now();
    quiet_.Begin();
  }
  stand_.mode = mode;
  stand_.devices = survey.devices;
  Enter(Phase::kWithdrawing);
}

Manager::Go Manager::MakeQuiet(cc::Mode mode, Survey survey) {
  BeginChange(mode, survey);
  Duration pause = kLookAgain;
  while (true) {
    Obstacle obstacle;
    if (const absl::Status shown = world_.reporter.Show(stand_); !shown.ok()) {
      obstacle = {Kind::kPause, fmt::format("the API server: {}", Text(shown)), {}};
      if (absl::IsPermissionDenied(shown) || !settings_.patient) obstacle.final = shown;
    } else {
      obstacle = quiet_.Look(stand_, survey);
      if (obstacle.kind == Kind::kPause) {
        stand_.paused = true;
        continue;
      }
    }
    if (obstacle.kind == Kind::kNone) return Go::kOn;
    if (!obstacle.final.ok()) {
      failure_ = obstacle.final;
      return Go::kFailed;
    }
    Enter(Phase::kWaiting, obstacle.text);
    world_.reporter.Show(stand_).IgnoreError();
    pause = obstacle.kind == Kind::kUsers ? std::min(2 * pause, kLongestPause) : kLookAgain;
    if (const Go go = Wait(mode, pause); go != Go::kOn) return go;
    auto again = world_.hardware.Query(mode, false);
    if (!again.ok() || (!again->admission.ok() && !again->busy)) return Go::kAgain;
    survey = *std::move(again);
    stand_.devices = survey.devices;
  }
}

std::optional<Manager::Result> Manager::Switch(cc::Mode mode) {
  Enter(Phase::kArming);
  const auto armed = world_.hardware.Arm(mode);
  if (!armed.ok()) return Gone(armed.status());
  if (!armed->status.ok()) return GiveUp(mode, *armed, false);

  // The last moment at which nothing has changed yet.
  if (const Go go = Wait(mode, Duration::zero()); go != Go::kOn) {
    const auto disarmed = world_.hardware.Disarm();
    if (!disarmed.ok()) return Gone(disarmed.status());
    if (!disarmed->status.ok()) return GiveUp(mode, *disarmed, false);
    return go == Go::kStopped ? std::optional(Stop()) : std::nullopt;
  }
  stand_.devices = armed->devices;
  Enter(Phase::kResetting);
  const auto done = world_.hardware.Reset();
  if (!done.ok()) return Gone(done.status());
  if (!done->status.ok()) return GiveUp(mode, *done, true);

  const bool any_reset = std::ranges::any_of(done->devices, &DeviceView::reset);
  world_.reporter.CountChange(stand_, *done, Seconds(world_.clock.Now() - change_began_));
  Result result = Reach(mode, done->devices);
  result.reset = any_reset;
  return result;
}

// A device that somebody has taken meanwhile is no failure: it is waited for again.
std::optional<Manager::Result> Manager::GiveUp(cc::Mode mode, const Progress& progress,
                                               bool reset) {
  const bool any_reset = reset && std::ranges::any_of(progress.devices, &DeviceView::reset);
  if (!any_reset && InUse(progress.devices)) return std::nullopt;
  world_.reporter.CountChange(stand_, progress, Seconds(world_.clock.Now() - change_began_));
  return Fail(mode, progress.status, progress.devices, any_reset);
}

Manager::Result Manager::Reach(cc::Mode mode, std::vector<DeviceView> devices) {
  stand_ = {.phase = stand_.phase,
            .mode = mode,
            .no_gpus = devices.empty(),
            .capable = stand_.capable,
            .devices = std::move(devices)};
  Enter(Phase::kSteady);
  return {.status = world_.reporter.Show(stand_), .mode = mode};
}

Manager::Result Manager::Fail(std::optional<cc::Mode> mode, const absl::Status& status,
                              std::vector<DeviceView> devices, bool reset) {
  stand_ = {.phase = stand_.phase,
            .mode = mode,
            .reset = reset,
            .capable = stand_.capable,
            .devices = std::move(devices)};
  Enter(Phase::kFailed, Text(status));
  world_.reporter.Show(stand_).IgnoreError();
  return {.status = status, .mode = mode, .reset = reset};
}

// Nothing is said about the node by that: another hardware side is started, and finds what this one
// has left behind. Only where that does not help it shows as a failure.
Manager::Result Manager::Gone(const absl::Status& status) {
  constexpr int kMostTimes = 3;
  firmware_asked_ = false;
  const absl::Status gone = Annotate(status, "hardware side");
  Result result{.status = gone, .mode = stand_.mode};
  if (++times_gone_ >= kMostTimes) result = Fail(stand_.mode, gone, stand_.devices);
  result.hardware_gone = true;
  return result;
}

// Nothing has been reset: whoever was asked to leave may come back, and the labels say again what
// the devices are in.
Manager::Result Manager::Stop() {
  constexpr Duration kLimit = std::chrono::seconds(20), kPause = std::chrono::seconds(1);
  const std::optional<cc::Mode> wanted = stand_.mode;
  for (const cc::Mode mode :
       {cc::Mode::kOff, cc::Mode::kOn, cc::Mode::kDevtools, cc::Mode::kPpcie}) {
    auto survey = world_.hardware.Query(mode, false);
    if (survey.ok() && survey->settled) {
      Reach(mode, std::move(survey->devices));
      break;
    }
  }
  if (InChange(stand_)) {
    Fail(wanted, absl::CancelledError("stopped before it could be reached"), stand_.devices);
  }
  const TimePoint deadline = world_.clock.Now() + kLimit;
  while (!world_.reporter.Show(stand_).ok() && world_.clock.Now() < deadline) {
    world_.clock.SleepFor(kPause);
  }
  return {.status = absl::CancelledError("stopped"), .mode = wanted, .stopped = true};
}

void Manager::Enter(Phase phase, std::string reason) {
  stand_.phase = phase;
  stand_.reason = std::move(reason);
  world_.reporter.Announce(stand_);
}

void Manager::LookWhetherCapable() {
  if (!settings_.label_capable) return;
  const auto on = world_.hardware.Query(cc::Mode::kOn, false);
  if (!on.ok()) return;
  const bool never = absl::IsUnimplemented(on->admission) || absl::IsNotFound(on->admission);
  stand_.capable = !never && cc::FindTee(world_.fs) != cc::Tee::kNone;
}

}  // namespace gpuhost::cc_manager
