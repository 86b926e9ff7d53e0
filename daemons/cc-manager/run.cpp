// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/run.h"

#include <algorithm>

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

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return service::kDone;
  return absl::IsNotFound(status) ? service::kImpossible : service::kFailed;
}

std::string Name(const std::optional<cc::State>& state) {
  return state ? std::string(cc::ToString(*state)) : "unknown";
}

void LogOutcome(const cc::Outcome& outcome, const Options& options, Duration total) {
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
      {{"mode", cc::ToString(options.mode)},
       {"gpus", outcome.devices.size()},
       {"seconds", fmt::format("{:.3f}", Seconds(total))},
       {"open", fmt::format("{:.3f}", Seconds(outcome.timing.open))},
       {"arm", fmt::format("{:.3f}", Seconds(outcome.timing.arm))},
       {"reset", fmt::format("{:.3f}", Seconds(outcome.timing.reset))}});
}

// What stood in the way already in the pass before is not told again.
absl::Status Pass(const gpu::Host& host, const Options& options, TimePoint start,
                  const absl::Status& before) {
  const auto outcome = Apply(host, options);
  if (!outcome.ok()) {
    Log(outcome.status() == before ? Level::kDebug : Level::kError, "nothing changed",
        {{"error", outcome.status()}});
    return outcome.status();
  }
  LogOutcome(*outcome, options, host.clock.Now() - start);
  return outcome->status;
}

// A GPU that is asleep or booting is left in peace; it was in the mode when it was last awake.
bool Differs(const gpu::Host& host, cc::Mode mode) {
  const auto seen = ObserveGpus(host);
  return seen.ok() && std::ranges::any_of(*seen, [mode](const cc::Observation& gpu) {
           return gpu.state.ok() && *gpu.state != cc::StateOf(mode);
         });
}

}  // namespace

int PrintPlan(const gpu::Host& host, const Options& options) {
  const auto plan = DescribePlan(host, options);
  if (plan.ok())
    fmt::print("{}", *plan);
  else
    Log(Level::kError, "nothing to plan", {{"error", plan.status()}});
  return ExitCodeOf(plan.status());
}

int RunOnce(const gpu::Host& host, const Options& options, TimePoint start) {
  return ExitCodeOf(Pass(host, options, start, absl::OkStatus()));
}

int RunDaemon(const gpu::Host& host, const Options& options, TimePoint start) {
  auto stop = service::StopSignal::Block();
  auto monitor = pci::Monitor::Open();
  for (const absl::Status& status : {stop.status(), monitor.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  absl::Status last = Pass(host, options, start, absl::OkStatus());
  Duration retry = kFirstRetry;
  while (true) {
    service::Notify(last.ok()
                        ? fmt::format("READY=1\nSTATUS=all GPUs {}", cc::ToString(options.mode))
                        : fmt::format("READY=1\nSTATUS=failed: {}", Text(last)));
    const auto readable =
        service::WaitReadable({stop->fd(), monitor->fd()}, last.ok() ? kLookAgain : retry);
    if (readable[0]) break;
    monitor->Drain();
    const bool due = !last.ok() && !readable[1];
    if (due) retry = std::min(2 * retry, kLookAgain);
    if (due || Differs(host, options.mode)) last = Pass(host, options, host.clock.Now(), last);
    if (last.ok()) retry = kFirstRetry;
  }
  service::Notify("STOPPING=1");
  Log(Level::kInfo, "stopping; modes stay as they are");
  return service::kDone;
}

}  // namespace gpuhost::cc_manager
