// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/run.h"

#include <map>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::vfio_manager {
namespace {

using service::Level;
using service::Log;

constexpr Duration kRescan = std::chrono::minutes(1);        // in case a uevent was lost
constexpr Duration kSettle = std::chrono::milliseconds(50);  // uevents come in bursts

int ExitCodeOf(const absl::Status& status) {
  const bool impossible = absl::IsNotFound(status) || absl::IsUnavailable(status);
  return impossible ? service::kImpossible : service::kFailed;
}

void PrintPlan(const std::vector<DeviceOutcome>& outcomes) {
  for (const DeviceOutcome& outcome : outcomes) {
    const bool nothing = outcome.status.ok() && outcome.steps.empty();
    fmt::print("{}: {}\n", outcome.bdf, nothing ? "nothing to do" : Text(outcome.status));
    for (const vfio::Step& step : outcome.steps) fmt::print("  {}\n", vfio::ToString(step));
  }
}

service::StatusDocument ToDocument(const std::vector<DeviceOutcome>& outcomes) {
  service::StatusDocument document{.daemon = "vfio-manager", .phase = "steady"};
  for (const DeviceOutcome& outcome : outcomes) {
    document.devices.push_back({.bdf = outcome.bdf.ToString(),
                                .state = outcome.status.ok() ? std::string(vfio::kVfioPci) : "",
                                .error = Text(outcome.status)});
  }
  return document;
}

// Logs and publishes what differs from the pass before, so that nothing happens when nothing
// changes.
class Reporter {
 public:
  explicit Reporter(HostFs& fs) : fs_(fs) {}

  void Report(const absl::StatusOr<std::vector<DeviceOutcome>>& pass) {
    std::map<std::string, std::string> now;
    if (!pass.ok()) now["all"] = Text(pass.status());
    for (const DeviceOutcome& outcome : pass.value_or(std::vector<DeviceOutcome>())) {
      now[outcome.bdf.ToString()] = Text(outcome.status);
    }
    if (now == last_) return;
    for (const auto& [what, error] : now) {
      const auto before = last_.find(what);
      if (before != last_.end() && before->second == error) continue;
      if (error.empty())
        Log(Level::kInfo, "bound to vfio-pci", {{"bdf", what}});
      else
        Log(Level::kError, "not bound", {{"bdf", what}, {"error", error}});
    }
    last_ = std::move(now);
    const absl::Status published =
        service::Publish(fs_, ToDocument(pass.value_or(std::vector<DeviceOutcome>())));
    if (!published.ok()) Log(Level::kWarning, "status not published", {{"error", published}});
  }

 private:
  HostFs& fs_;
  std::map<std::string, std::string> last_;
};

}  // namespace

int RunOnce(Deps& deps, const Options& options) {
  const auto outcomes = Apply(deps, options);
  if (!outcomes.ok()) {
    Log(Level::kError, "nothing changed", {{"error", outcomes.status()}});
    return ExitCodeOf(outcomes.status());
  }
  if (options.dry_run) PrintPlan(*outcomes);
  int exit_code = service::kDone;
  for (const DeviceOutcome& outcome : *outcomes) {
    if (!outcome.status.ok()) {
      exit_code = service::kFailed;
      Log(Level::kError, options.verb == Verb::kUnbind ? "not unbound" : "not bound",
          {{"bdf", outcome.bdf}, {"error", outcome.status}});
    } else if (!options.dry_run) {
      Log(Level::kInfo, options.verb == Verb::kUnbind ? "unbound" : "bound to vfio-pci",
          {{"bdf", outcome.bdf}});
    }
  }
  return exit_code;
}

int RunDaemon(Deps& deps, const Options& options) {
  auto stop = service::StopSignal::Block();
  auto monitor = pci::Monitor::Open();  // before the first scan, so that no change is missed
  for (const absl::Status& status : {stop.status(), monitor.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  Reporter reporter(deps.fs);
  while (true) {
    const auto pass = Apply(deps, options);
    reporter.Report(pass);
    service::Notify(pass.ok() ? "READY=1\nSTATUS=GPUs are on vfio-pci"
                              : fmt::format("READY=1\nSTATUS={}", Text(pass.status())));
    const auto readable = service::WaitReadable({stop->fd(), monitor->fd()}, kRescan);
    if (readable[0]) break;
    service::WaitReadable({stop->fd()}, readable[1] ? kSettle : Duration::zero());
    monitor->Drain();
  }
  service::Notify("STOPPING=1");
  Log(Level::kInfo, "stopping; devices stay bound");
  return service::kDone;
}

}  // namespace gpuhost::vfio_manager
