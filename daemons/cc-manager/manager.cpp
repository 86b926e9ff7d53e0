// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/manager.h"

#include <algorithm>
#include <random>

#include "daemons/cc-manager/api_pause.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using Kind = Obstacle::Kind;

constexpr Duration kLookAgain = std::chrono::seconds(1);
constexpr Duration kFirstApiPause = std::chrono::seconds(1);  // for the API server
constexpr Duration kLongestApiPause = std::chrono::seconds(30);
constexpr int kMostGrabs = 5;  // of devices within one pass

std::string NewTransition() { return fmt::format("{:08x}", std::random_device()()); }

// Users may take days, and whoever asks for operands asks the API server; files cost nothing.
Duration LongestPause(Kind kind) {
  if (kind == Kind::kUsers) return std::chrono::seconds(10);
  return kind == Kind::kOperands ? std::chrono::seconds(5) : kLookAgain;
}

// Whether somebody has taken a device that is to be changed.
bool Grabbed(const std::vector<DeviceView>& devices) {
  return std::ranges::any_of(devices, [](const DeviceView& device) {
    return !device.settled && !device.in_use_by.empty();
  });
}

// All are in use, and nobody has ever told in which mode.
bool NothingKnown(const Survey& survey) {
  return std::ranges::none_of(survey.devices, &DeviceView::settled);
}
constexpr const char* kNothingKnown =
    "all GPUs are in use and their mode is not known; it is looked at when one is free";

}  // namespace

Manager::Manager(World world, const Settings& settings)
    : world_(std::move(world)),
      settings_(settings),
      quiet_(world_.fs, world_.clock, world_.node, settings_),
      unusable_(world_.fs),
      api_pause_(kFirstApiPause, kLongestApiPause, std::random_device()()) {}

Manager::Result Manager::Settle() {
  grabbed_ = 0;
  bool disturbed = false;
  const auto ended = [&](Result result) {
    result.disturbed = disturbed;
    return result;
  };
  while (true) {
    const auto wanted = world_.wanted();
    if (!wanted.ok()) return ended(WithoutWish(wanted.status()));
    auto survey = Look(*wanted);
    if (!survey.ok()) return ended(Gone(survey.status()));
    times_gone_ = 0;
    LookWhetherCapable();
    if (survey->settled && NothingKnown(*survey)) {
      return ended(
          Fail(*wanted, absl::UnavailableError(kNothingKnown), std::move(survey->devices)));
    }
    if (survey->settled || absl::IsNotFound(survey->admission)) {
      return ended(Reach(*wanted, std::move(survey->devices)));
    }
    if (auto refused = Refused(*wanted, *survey)) return ended(*std::move(refused));
    disturbed = true;
    switch (MakeQuiet(*wanted, *std::move(survey))) {
      case Go::kOn:
        if (auto result = Switch(*wanted)) return ended(*std::move(result));
        break;
      case Go::kAgain:
        break;
      case Go::kStopped:
        return ended(Stop());
      case Go::kFailed:
        return ended(Fail(*wanted, failure_, stand_.devices));
    }
  }
}

// What keeps the change from beginning whoever leaves, and a user where none is waited for.
std::optional<Manager::Result> Manager::Refused(cc::Mode mode, Survey& survey) {
  const bool hopeless = !survey.busy || settings_.policy == WorkloadPolicy::kRefuse;
  if (survey.admission.ok() || !hopeless) return std::nullopt;
  return Fail(mode, survey.admission, std::move(survey.devices));
}

bool Manager::OtherModeWanted(cc::Mode mode) const {
  const auto wanted = world_.wanted();
  return wanted.ok() ? *wanted != mode : absl::IsInvalidArgument(wanted.status());
}

Manager::Go Manager::Wait(cc::Mode mode, Duration limit) {
  if (world_.wakeup.Wait(limit).stop) return Go::kStopped;
  return OtherModeWanted(mode) ? Go::kAgain : Go::kOn;
}

absl::Status Manager::BeginChange(cc::Mode mode, const Survey& survey) {
  if (stand_.transition.empty()) {
    stand_.transition = NewTransition();
    change_began_ = world_.clock.Now();
    quiet_.Begin();
  }
  stand_.mode = mode;
  stand_.devices = survey.devices;
  return Enter(Phase::kWithdrawing);
}

Obstacle Manager::ShowAndLook(const Survey& survey, Pace& pace) {
  absl::Status shown = world_.reporter.Show(stand_);
  Obstacle obstacle;
  if (shown.ok()) {
    obstacle = quiet_.Look(stand_, survey);
    if (obstacle.kind == Kind::kPause) {
      stand_.paused = true;
      shown = world_.reporter.Show(stand_);
      if (shown.ok()) obstacle = quiet_.Look(stand_, survey);
    }
  }
  if (!shown.ok()) {
    obstacle = {Kind::kPause, fmt::format("the API server: {}", Text(shown)), {}};
    if (absl::IsPermissionDenied(shown) || !settings_.patient) obstacle.final = shown;
    pace = {obstacle.kind, PauseAfter(shown, api_pause_)};
    return obstacle;
  }
  api_pause_.Reset();
  const bool same = obstacle.kind == pace.kind;
  pace = {obstacle.kind, same ? std::min(2 * pace.pause, LongestPause(pace.kind)) : kLookAgain};
  return obstacle;
}

Manager::Go Manager::MakeQuiet(cc::Mode mode, Survey survey) {
  const auto untold = [&](const absl::Status& status) {
    failure_ = Annotate(status, "nothing is begun that the other daemons cannot be told");
    return Go::kFailed;
  };
  if (const auto begun = BeginChange(mode, survey); !begun.ok()) return untold(begun);
  Pace pace;
  while (true) {
    const Obstacle obstacle = ShowAndLook(survey, pace);
    if (obstacle.kind == Kind::kNone) return Go::kOn;
    if (!obstacle.final.ok()) {
      failure_ = obstacle.final;
      return Go::kFailed;
    }
    if (const auto told = Enter(Phase::kWaiting, obstacle.text); !told.ok()) return untold(told);
    if (obstacle.kind != Kind::kPause) world_.reporter.Show(stand_).IgnoreError();
    if (const Go go = Wait(mode, pace.pause); go != Go::kOn) return go;
    auto again = world_.hardware.Query(mode, false);
    if (!again.ok() || (!again->admission.ok() && !again->busy)) return Go::kAgain;
    survey = *std::move(again);
    BelieveLabel(mode, survey);
    stand_.devices = survey.devices;
  }
}

std::optional<Manager::Result> Manager::Switch(cc::Mode mode) {
  if (const absl::Status told = Enter(Phase::kArming); !told.ok()) {
    return Fail(mode, Annotate(told, "not armed"), stand_.devices);
  }
  const auto armed = world_.hardware.Arm(mode);
  if (!armed.ok()) return Gone(armed.status());
  if (!armed->status.ok()) return GiveUp(mode, *armed, false);

  // The last moment at which nothing has changed yet.
  if (const Go go = Wait(mode, Duration::zero()); go != Go::kOn) {
    if (auto result = Disarm(mode, absl::OkStatus())) return result;
    return go == Go::kStopped ? std::optional(Stop()) : std::nullopt;
  }
  stand_.devices = armed->devices;
  if (const absl::Status told = Enter(Phase::kResetting); !told.ok()) {
    return Disarm(mode, Annotate(told, "not reset"));
  }
  const auto done = world_.hardware.Reset();
  if (!done.ok()) return Gone(done.status());
  if (!done->status.ok()) return GiveUp(mode, *done, true);

  const bool any_reset = std::ranges::any_of(done->devices, &DeviceView::reset);
  world_.reporter.CountChange(stand_, *done, Seconds(world_.clock.Now() - change_began_));
  Result result = Reach(mode, done->devices);
  result.reset = any_reset;
  return result;
}

// Gives up a change that is armed, because of `why`, or (OK) because another mode is wanted: then
// nothing is returned when all could be put back.
std::optional<Manager::Result> Manager::Disarm(cc::Mode mode, const absl::Status& why) {
  const auto disarmed = world_.hardware.Disarm();
  if (!disarmed.ok()) return Gone(disarmed.status());
  if (!disarmed->status.ok()) return GiveUp(mode, *disarmed, false);
  if (!why.ok()) return Fail(mode, why, disarmed->devices);
  stand_.devices = disarmed->devices;
  Enter(Phase::kWithdrawing).IgnoreError();
  return std::nullopt;
}

// A device that somebody has taken meanwhile is no failure: it is waited for again, some times.
std::optional<Manager::Result> Manager::GiveUp(cc::Mode mode, const Progress& progress,
                                               bool reset) {
  const bool any_reset = reset && std::ranges::any_of(progress.devices, &DeviceView::reset);
  const bool forced = settings_.policy == WorkloadPolicy::kForce;
  const bool again = !any_reset && !forced && Grabbed(progress.devices) && ++grabbed_ < kMostGrabs;
  if (!progress.written) unusable_.NothingWritten();
  if (again) {
    stand_.devices = progress.devices;
    if (world_.wakeup.Wait(kLookAgain).stop) return Stop();
    return std::nullopt;
  }
  world_.reporter.CountChange(stand_, progress, Seconds(world_.clock.Now() - change_began_));
  return Fail(mode, progress.status, progress.devices, any_reset);
}

Manager::Result Manager::Reach(cc::Mode mode, std::vector<DeviceView> devices) {
  stand_ = {.phase = stand_.phase,
            .mode = mode,
            .no_gpus = devices.empty(),
            .capable = stand_.capable,
            .devices = std::move(devices)};
  Enter(Phase::kSteady).IgnoreError();
  return {.status = world_.reporter.Show(stand_), .mode = mode};
}

Manager::Result Manager::Fail(std::optional<cc::Mode> mode, const absl::Status& status,
                              std::vector<DeviceView> devices, bool reset) {
  stand_ = {.phase = stand_.phase,
            .mode = mode,
            .reset = reset,
            .capable = stand_.capable,
            .devices = std::move(devices)};
  ask_ = true;
  Enter(Phase::kFailed, Text(status)).IgnoreError();
  world_.reporter.Show(stand_).IgnoreError();
  return {.status = status, .mode = mode, .reset = reset};
}

// Nothing is said about the node by that: another hardware side is started, and finds what this one
// has left behind. Only where that does not help it shows as a failure.
Manager::Result Manager::Gone(const absl::Status& status) {
  constexpr int kMostTimes = 3;
  ask_ = true;
  for (DeviceView& device : stand_.devices) device.pending.reset();  // nobody knows
  const absl::Status gone = Annotate(status, "hardware side");
  Result result{.status = gone, .mode = stand_.mode};
  if (++times_gone_ >= kMostTimes) result = Fail(stand_.mode, gone, stand_.devices);
  result.hardware_gone = true;
  return result;
}

// Nothing has been reset: whoever was asked to leave may come back, and the labels say again what
// the devices are in.
Manager::Result Manager::Stop() {
  constexpr Duration kLimit = std::chrono::seconds(5), kPause = std::chrono::seconds(1);
  const std::optional<cc::Mode> wanted = stand_.mode;
  for (const cc::Mode mode :
       {cc::Mode::kOff, cc::Mode::kOn, cc::Mode::kDevtools, cc::Mode::kPpcie}) {
    auto survey = world_.hardware.Query(mode, false);
    if (!survey.ok()) break;
    BelieveLabel(mode, *survey);
    if (survey->settled && std::ranges::all_of(survey->devices, &DeviceView::settled)) {
      Reach(mode, std::move(survey->devices));
      break;
    }
  }
  if (InChange(stand_)) {
    Fail(wanted, absl::CancelledError("stopped before it could be reached"), stand_.devices);
  }
  const TimePoint deadline = world_.clock.Now() + kLimit;
  while (!world_.reporter.Show(stand_, true).ok() && world_.clock.Now() < deadline) {
    world_.clock.SleepFor(kPause);
  }
  return {.status = absl::CancelledError("stopped"), .mode = wanted, .stopped = true};
}

absl::Status Manager::Enter(Phase phase, std::string reason) {
  stand_.phase = phase;
  stand_.reason = std::move(reason);
  stand_.unusable = unusable_.Update(stand_);
  return world_.reporter.Announce(stand_);
}

}  // namespace gpuhost::cc_manager
