// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/run.h"

#include <algorithm>

#include "daemons/cc-manager/manager.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::cc_manager {
namespace {

using service::Level;
using service::Log;

constexpr Duration kLookAgain = std::chrono::minutes(5);
constexpr Duration kFirstRetry = std::chrono::seconds(30);  // doubled until it is kLookAgain

std::string Name(const std::optional<cc::State>& state) {
  return state ? std::string(cc::ToString(*state)) : "unknown";
}

void LogOutcome(const cc::Outcome& outcome, cc::Mode mode, Duration total) {
  for (const cc::DeviceResult& gpu : outcome.devices) {
    const auto level = gpu.status.ok() ? Level::kInfo : Level::kError;
    const std::string_view text = !gpu.status.ok() ? "not switched"
                                  : gpu.reset      ? "switched"
                                                   : "already in this mode";
    Log(level, text,
        {{"bdf", gpu.bdf},
         {"from", Name(gpu.before)},
         {"to", Name(gpu.after)},
         {"error", gpu.status}});
  }
  Log(outcome.status.ok() ? Level::kInfo : Level::kError,
      outcome.status.ok() ? "all GPUs are in the mode" : "not all GPUs are in the mode",
      {{"mode", cc::ToString(mode)},
       {"devices", outcome.devices.size()},
       {"seconds", fmt::format("{:.3f}", Seconds(total))},
       {"open", fmt::format("{:.3f}", Seconds(outcome.timing.open))},
       {"arm", fmt::format("{:.3f}", Seconds(outcome.timing.arm))},
       {"reset", fmt::format("{:.3f}", Seconds(outcome.timing.reset))}});
}

struct Result {
  absl::Status status;           // OK: all GPUs are in the mode, and the target has been told
  std::optional<cc::Mode> mode;  // empty: nobody could say which one is wanted
  bool no_gpus = false;          // so there is nothing to switch and nothing to tell
};

int ExitCodeOf(const Result& result) {
  if (result.no_gpus) return service::kImpossible;
  return result.status.ok() ? service::kDone : service::kFailed;
}

// One pass: learn the mode, change, report. An error that the pass before had too is not told
// again.
Result Pass(const gpu::Host& host, Target& target, bool force, TimePoint start,
            const absl::Status& before) {
  const auto log = [&before](std::string_view text, const absl::Status& error) {
    Log(error == before ? Level::kDebug : Level::kError, text, {{"error", error}});
  };
  const auto mode = target.Wanted();
  if (!mode.ok()) {
    log("wanted mode not known, nothing changed", mode.status());
    if (absl::IsInvalidArgument(mode.status())) target.Report(std::nullopt).IgnoreError();
    return {.status = mode.status()};
  }
  const auto outcome = Apply(host, *mode, force);
  if (outcome.ok()) {
    LogOutcome(*outcome, *mode, host.clock.Now() - start);
  } else {
    log("nothing changed", outcome.status());
    if (absl::IsNotFound(outcome.status())) return {outcome.status(), *mode, true};
  }
  const absl::Status status = outcome.ok() ? outcome->status : outcome.status();
  const absl::Status told = target.Report(status.ok() ? std::optional(*mode) : std::nullopt);
  if (!told.ok()) log("state not reported", told);
  return {status.ok() ? told : status, *mode};
}

// A GPU that is asleep or booting is left in peace; it was in the mode when it was last awake.
bool Differs(const gpu::Host& host, cc::Mode mode) {
  const auto seen = ObserveNode(host);
  return seen.ok() && std::ranges::any_of(*seen, [mode](const cc::Observation& gpu) {
           return gpu.state.ok() && *gpu.state != cc::StateOf(mode, gpu.chip->architecture);
         });
}

bool WantsOther(Target& target, const Result& last) {
  if (target.fd() < 0) return false;
  const auto wanted = target.Wanted();
  return wanted.ok() ? wanted.value() != last.mode : wanted.status() != last.status;
}

}  // namespace

int PrintPlan(const gpu::Host& host, Target& target, bool force) {
  const auto mode = target.Wanted();
  const auto plan =
      mode.ok() ? DescribePlan(host, *mode, force) : absl::StatusOr<std::string>(mode.status());
  if (plan.ok()) {
    fmt::print("{}", *plan);
    return service::kDone;
  }
  Log(Level::kError, "nothing to plan", {{"error", plan.status()}});
  return mode.ok() && absl::IsNotFound(plan.status()) ? service::kImpossible : service::kFailed;
}

int RunOnce(const gpu::Host& host, Target& target, bool force, TimePoint start) {
  return ExitCodeOf(Pass(host, target, force, start, absl::OkStatus()));
}

int RunDaemon(const gpu::Host& host, Target& target, bool force, TimePoint start) {
  auto stop = service::StopSignal::Block();
  auto monitor = pci::Monitor::Open();
  for (const absl::Status& status : {stop.status(), monitor.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  target.Start();
  Result last = Pass(host, target, force, start, absl::OkStatus());
  Duration retry = kFirstRetry;
  while (true) {
    service::Notify(last.status.ok()
                        ? fmt::format("READY=1\nSTATUS=all GPUs {}", cc::ToString(*last.mode))
                        : fmt::format("READY=1\nSTATUS=failed: {}", Text(last.status)));
    const auto readable = service::WaitReadable({stop->fd(), monitor->fd(), target.fd()},
                                                last.status.ok() ? kLookAgain : retry);
    if (readable[0]) break;
    monitor->Drain();
    target.Drain();
    const bool due = !last.status.ok() && !readable[1] && !readable[2];
    if (due) retry = std::min(2 * retry, kLookAgain);
    if (due || WantsOther(target, last) || (last.mode && Differs(host, *last.mode))) {
      last = Pass(host, target, force, host.clock.Now(), last.status);
    }
    if (last.status.ok()) retry = kFirstRetry;
  }
  service::Notify("STOPPING=1");
  Log(Level::kInfo, "stopping; modes stay as they are");
  return service::kDone;
}

}  // namespace gpuhost::cc_manager
