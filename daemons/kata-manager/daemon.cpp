// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/daemon.h"

#include <unistd.h>

#include <atomic>
#include <map>
#include <set>

#include "daemons/common/service/directory_watch.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/http_endpoint.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/status_document.h"
#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/metrics.h"
#include "daemons/kata-manager/places.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::kata_manager {
namespace {

using service::Level;
using service::Log;

constexpr const char* kName = "kata-manager";
constexpr Duration kRescan = std::chrono::minutes(1);
constexpr Duration kFirstRetry = std::chrono::seconds(5);     // doubled until it is kRescan
constexpr Duration kSettle = std::chrono::milliseconds(500);  // uevents come in bursts
constexpr const char* kCdi = "/var/run/cdi";
// A step of a pass may restart containerd twice and wait for it each time.
constexpr Duration kHangs = std::chrono::minutes(20);

struct Ears {
  service::ReloadSignal reload;
  pci::Monitor devices;
  service::DirectoryWatch cdi, documents, runtime;
  std::vector<std::string> names;  // that matter to `runtime`
  int fetched = -1;                // see Deps
};

absl::StatusOr<Ears> Listen() {
  GPUHOST_ASSIGN(auto reload, service::ReloadSignal::Block());
  GPUHOST_ASSIGN(auto devices, pci::Monitor::Open());
  GPUHOST_ASSIGN(auto cdi, service::DirectoryWatch::Open());
  GPUHOST_ASSIGN(auto documents, service::DirectoryWatch::Open());
  GPUHOST_ASSIGN(auto runtime, service::DirectoryWatch::Open());
  return Ears{std::move(reload),
              std::move(devices),
              std::move(cdi),
              std::move(documents),
              std::move(runtime),
              {},
              -1};
}

// Directories come and go; one that is not there is waited for by the clock.
void Follow(const HostFs& fs, Ears& ears) {
  ears.cdi.WatchContents(fs.Resolve(kCdi)).IgnoreError();
  ears.documents.Watch(fs.Resolve(service::kStatusDirectory)).IgnoreError();
}

// The files, the directories that they are in, and those above, as they may have to be made first.
void FollowRuntime(const HostFs& fs, Ears& ears, const std::vector<std::string>& files) {
  ears.names.clear();
  for (const std::string& file : files) {
    const std::string directory = file.substr(0, file.rfind('/'));
    const std::string above = directory.substr(0, directory.rfind('/'));
    for (const std::string& path : {directory, above}) {
      ears.runtime.WatchContents(fs.Resolve(path)).IgnoreError();
    }
    ears.names.push_back(file.substr(directory.size() + 1));
    ears.names.push_back(directory.substr(above.size() + 1));
  }
}

enum class Reason { kStop, kReload, kLook };

// Waits for a reason for another pass, at most `limit`.
Reason Wait(const service::StopSignal& stop, Ears& ears, Clock& clock, Duration limit) {
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const Duration left = std::max(deadline - clock.Now(), Duration::zero());
    const auto readable =
        service::WaitReadable({stop.fd(), ears.reload.fd(), ears.devices.fd(), ears.cdi.fd(),
                               ears.documents.fd(), ears.runtime.fd(), ears.fetched},
                              left);
    if (readable[0]) return Reason::kStop;
    if (readable[1]) ears.reload.Drain();
    bool changed = readable[1] || left == Duration::zero();
    if (readable[2]) changed = ears.devices.Drain() || changed;
    if (readable[3]) changed = ears.cdi.Drain(".yaml") || changed;
    if (readable[4]) changed = ears.documents.Drain("sandbox-device-plugin.json") || changed;
    if (readable[5]) changed = ears.runtime.DrainAny(ears.names) || changed;
    if (readable[6]) {
      uint64_t count = 0;
      changed = ::read(ears.fetched, &count, sizeof count) > 0 || changed;
    }
    if (!changed) continue;
    const bool settle = left > Duration::zero();
    if (settle && service::WaitReadable({stop.fd()}, kSettle)[0]) return Reason::kStop;
    return readable[1] ? Reason::kReload : Reason::kLook;
  }
}

// Tells the log and the status document what differs from the pass before.
class Reporter {
 public:
  explicit Reporter(HostFs& fs) : fs_(fs) {}

  void Tell(const Report& report) {
    std::map<std::string, std::string> now;
    for (const Part& part : report.parts) now[part.name] = Text(part.status);
    for (const CdiOutcome& outcome : report.cdi) {
      now["CDI " + outcome.kind] = Text(outcome.status);
    }
    for (const Part& file : report.given_up) now[file.name] = Text(file.status);
    now["restart"] = Text(report.runtime.due);
    now["container runtime is up"] = Text(report.down);
    for (const std::string& note : report.notes) {
      if (noted_.insert(note).second) Log(Level::kWarning, note);
    }
    for (const auto& [name, error] : now) {
      const auto before = last_.find(name);
      if (before != last_.end() && before->second == error) continue;
      if (!error.empty()) Log(Level::kError, "not as wanted", {{"part", name}, {"error", error}});
      if (error.empty()) Log(Level::kInfo, "as wanted", {{"part", name}});
    }
    for (const std::string& path : report.repaired) {
      Log(Level::kWarning, "put right what somebody else had changed", {{"path", path}});
    }
    if (report.runtime.changed) Log(Level::kInfo, "the container runtime's files were changed");
    if (report.runtime.restarted) Log(Level::kInfo, "the container runtime was restarted");
    if (now == last_) return;
    last_ = std::move(now);
    const absl::Status published =
        service::Publish(fs_, {.daemon = kName,
                               .phase = report.AllWell() ? "steady" : "failed",
                               .reason = report.Trouble()});
    if (!published.ok()) Log(Level::kWarning, "status not published", {{"error", published}});
  }

 private:
  HostFs& fs_;
  std::map<std::string, std::string> last_;
  std::set<std::string> noted_;
};

// What the configuration says, or what it said before something was wrong with it.
class Configuration {
 public:
  Configuration(const HostFs& fs, const Options& options) : fs_(fs), options_(options) {}

  // The error of a first reading is to end the daemon. True when it says something else than
  // before.
  absl::StatusOr<bool> Read() {
    const bool fresh = !HasRecords(fs_, ArtifactsDir(options_, config_));
    auto read = ReadConfig(fs_, options_.config_path,
                           {.missing = !options_.config_given && !was_there_ && fresh,
                            .empty = config_.classes.empty() && fresh});
    if (!read.ok()) return read.status();
    was_there_ = was_there_ || fs_.Exists(options_.config_path);
    const bool changed = *read != config_;
    config_ = *std::move(read);
    return changed;
  }
  const Config& operator*() const { return config_; }

 private:
  const HostFs& fs_;
  const Options& options_;
  Config config_;
  bool was_there_ = false;
};

absl::Status WritePid(HostFs& fs, const std::string& path) {
  if (path.empty() || fs.Exists(path)) return absl::OkStatus();
  GPUHOST_TRY(fs.MakeDirectories(path.substr(0, path.rfind('/'))));
  return fs.WriteFileAtomic(path, std::to_string(::getpid()), 0644);
}

void Sweep(Deps& deps, const Options& options, const Config& config) {
  const auto removed = CollectGarbage(deps.fs, ArtifactsDir(options, config), NamesOf(config));
  if (absl::IsUnavailable(removed.status())) return;  // somebody pulls; the next pass sweeps
  if (!removed.ok()) Log(Level::kWarning, "old artefacts stay", {{"error", removed.status()}});
  for (const std::string& path : removed.value_or(std::vector<std::string>())) {
    Log(Level::kInfo, "removed", {{"path", path}});
  }
  const auto retired = RetirePlaces(deps, options, config);
  for (const std::string& path : retired.value_or(std::vector<std::string>())) {
    Log(Level::kInfo, "artefacts of a former artifactsDir removed", {{"path", path}});
  }
}

}  // namespace

int RunDaemon(Deps& deps, const Options& options, const service::StopSignal& stop) {
  const auto instance = service::Instance::Claim(deps.fs, kName);
  auto ears = Listen();  // before the first look, so that no change is missed
  service::Metrics metrics;
  DescribeMetrics(metrics);
  std::atomic<bool> ready = false;
  const service::HttpEndpoint::Answers answers{
      metrics, [&deps] { return deps.heartbeat->IsAlive(deps.clock, kHangs); },
      [&ready] { return ready.load(); }};
  absl::StatusOr<std::unique_ptr<service::HttpEndpoint>> endpoint = nullptr;
  if (!options.http_address.empty()) {
    endpoint = service::HttpEndpoint::Listen(options.http_address, answers);
  }
  for (const absl::Status& status : {instance.status(), ears.status(), endpoint.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return absl::IsInvalidArgument(status) ? service::kUsage : service::kFailed;
  }
  if (!options.pid_file.empty()) deps.fs.Remove(options.pid_file).IgnoreError();  // of one killed
  ears->fetched = deps.fetched_fd;
  Reporter reporter(deps.fs);
  Duration retry = kFirstRetry;
  bool first = true;
  Configuration config(deps.fs, options);
  while (true) {
    Follow(deps.fs, *ears);
    const auto changed = config.Read();
    if (first && !changed.ok()) {
      Log(Level::kError, "cannot start", {{"error", changed.status()}});
      return absl::IsInvalidArgument(changed.status()) ? service::kUsage : service::kFailed;
    }
    if (changed.ok() && *changed) {
      deps.drift.Forget();
      deps.cancel_fetch();
    }
    FollowRuntime(deps.fs, *ears, RuntimeFiles(deps, options, *config));
    Report report = Pass(deps, options, *config);
    deps.distrust = false;
    report.parts.insert(report.parts.begin(), {"configuration", changed.status()});
    CountPass(deps, options, *config, report, metrics);
    if (service::WaitReadable({stop.fd()}, Duration::zero())[0]) break;
    const bool well = report.AllWell();
    reporter.Tell(report);
    if (well) {
      Sweep(deps, options, *config);
      const absl::Status pid = WritePid(deps.fs, options.pid_file);
      if (!pid.ok()) Log(Level::kWarning, "no pid file", {{"error", pid}});
    }
    ready = well;
    const std::string trouble = well ? "all as wanted" : report.Trouble();
    service::Notify({.ready = true, .status = trouble});
    first = false;
    Duration limit = well ? kRescan : retry;
    if (report.runtime.turn > 0) {
      limit = std::min<Duration>(limit, std::chrono::seconds(report.runtime.turn));
    }
    deps.heartbeat->Rest();
    const Reason reason = Wait(stop, *ears, deps.clock, limit);
    if (reason == Reason::kStop) break;
    if (reason == Reason::kReload) deps.drift.Forget();
    retry = well ? kFirstRetry : std::min(2 * retry, kRescan);
  }
  service::Notify({.stopping = true});
  if (!options.pid_file.empty()) deps.fs.Remove(options.pid_file).IgnoreError();
  Log(Level::kInfo, "stopping; everything stays as it is");
  return service::kDone;
}

}  // namespace gpuhost::kata_manager
