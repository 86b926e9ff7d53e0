// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/run.h"

#include <algorithm>
#include <random>

#include "daemons/cc-manager/api_pause.h"
#include "daemons/cc-manager/connect.h"
#include "daemons/cc-manager/describe.h"
#include "daemons/cc-manager/wish.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

namespace gpuhost::cc_manager {
namespace {

using service::Level;
using service::Log;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kLookAgain = minutes(5);
constexpr Duration kFirstRetry = seconds(5);               // doubled each time
constexpr Duration kDisturbAgain = std::chrono::hours(1);  // at most
constexpr int kMostResets = 6;  // of devices that do not get into the mode
constexpr Duration kShowAgain = seconds(2), kShowLate = minutes(1);  // to a cluster that does not
                                                                     // listen

// When to try again after a pass that failed.
class Retry {
 public:
  // How long to wait before the next pass may begin; nothing: until something changes.
  std::optional<Duration> Next(const Manager::Result& result) {
    resets_ = result.reset ? resets_ + 1 : 0;
    if (resets_ >= kMostResets) return std::nullopt;
    const Duration now = pause_;
    pause_ = std::max(pause_, std::min(2 * pause_, result.disturbed ? kDisturbAgain : kLookAgain));
    return result.disturbed ? now : std::min(now, kLookAgain);
  }
  void Reset() { *this = Retry(); }

 private:
  Duration pause_ = kFirstRetry;
  int resets_ = 0;
};

int ExitCodeOf(const Manager::Result& result, const Manager& manager) {
  if (manager.stand().no_gpus) return service::kImpossible;
  return result.status.ok() ? service::kDone : service::kFailed;
}

}  // namespace

absl::StatusOr<int> PrintPlan(Options& options) {
  HostFs fs(options.root);
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  GPUHOST_ASSIGN(const auto cluster, Connect(options));
  GPUHOST_ASSIGN(const cc::Mode mode,
                 Wish(fs, clock, options, cluster ? &cluster->node : nullptr).Mode());
  const auto plan =
      PlanChange({fs, clock, registers}, mode, options.settings.policy == WorkloadPolicy::kForce);
  if (plan.ok()) {
    fmt::print("{}", options.json ? RenderJson(*plan, mode) : RenderText(*plan));
    return service::kDone;
  }
  Log(Level::kError, "nothing to plan", {{"error", plan.status()}});
  return absl::IsNotFound(plan.status()) ? service::kImpossible : service::kFailed;
}

int RunOnce(Manager& manager, Reporter& reporter, Wakeup& wakeup) {
  constexpr Duration kPause = seconds(1);
  constexpr int kTries = 10;
  const Manager::Result result = manager.Settle();
  absl::Status shown = reporter.Show(manager.stand());
  for (int i = 1; i < kTries && absl::IsUnavailable(shown); ++i) {
    if (wakeup.Wait(kPause).stop) break;
    shown = reporter.Show(manager.stand());
  }
  if (!shown.ok()) Log(Level::kError, "state not reported", {{"error", shown}});
  if (!shown.ok()) return service::kFailed;
  return ExitCodeOf(result, manager);
}

int RunDaemon(Manager& manager, Reporter& reporter, Wakeup& wakeup, Clock& clock,
              std::atomic<bool>& ready) {
  Retry retry;
  kube::Backoff show_again(kShowAgain, kShowLate, std::random_device()());
  while (true) {
    const Manager::Result last = manager.Settle();
    if (last.stopped) return service::kDone;
    if (last.status.ok()) retry.Reset();
    const auto pause = last.status.ok() ? std::optional(kLookAgain) : retry.Next(last);
    const auto due = pause ? std::optional(clock.Now() + *pause) : std::nullopt;
    while (true) {
      const absl::Status shown = reporter.Show(manager.stand());
      ready = shown.ok() && last.status.ok();
      if (shown.ok()) show_again.Reset();
      const Duration limit = shown.ok() ? kLookAgain : PauseAfter(shown, show_again);
      const Woken woken =
          wakeup.Wait(due ? std::clamp(*due - clock.Now(), Duration::zero(), limit) : limit);
      if (woken.stop) {
        service::Notify({.stopping = true});
        Log(Level::kInfo, "stopping; modes stay as they are");
        return service::kDone;
      }
      if (woken.asked || manager.HasWork(last, woken.devices))
        retry.Reset();
      else if (!due || clock.Now() < *due)
        continue;
      break;
    }
    ready = false;
  }
}

}  // namespace gpuhost::cc_manager
