// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/daemon.h"

#include <algorithm>

#include "daemons/common/service/directory_watch.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/vfio-manager/render.h"
#include "daemons/vfio-manager/reporter.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::vfio_manager {
namespace {

using service::Level;
using service::Log;

constexpr Duration kRescan = std::chrono::minutes(1);        // in case a uevent was lost
constexpr Duration kFirstRetry = std::chrono::seconds(5);    // doubled until it is kRescan
constexpr Duration kSettle = std::chrono::milliseconds(50);  // uevents come in bursts
// One that somebody else is changing must not keep the daemon from the others; it comes back to it.
constexpr Duration kLockLimit = std::chrono::seconds(2);
constexpr const char* kDocuments = "/run/nvidia/gpuhost";

// Everything that can end a wait.
struct Ears {
  service::StopSignal stop;
  pci::Monitor monitor;
  service::DirectoryWatch documents;
};

absl::StatusOr<Ears> Listen() {
  GPUHOST_ASSIGN(auto stop, service::StopSignal::Block());
  GPUHOST_ASSIGN(auto monitor, pci::Monitor::Open());
  GPUHOST_ASSIGN(auto documents, service::DirectoryWatch::Open());
  return Ears{std::move(stop), std::move(monitor), std::move(documents)};
}

// Until something happened that a pass has to look at, or `limit` has passed. False: stop.
bool Wait(Ears& ears, Clock& clock, Duration limit) {
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const auto readable =
        service::WaitReadable({ears.stop.fd(), ears.monitor.fd(), ears.documents.fd()},
                              std::max(deadline - clock.Now(), Duration::zero()));
    if (readable[0]) return false;
    if (readable[1]) service::WaitReadable({ears.stop.fd()}, kSettle);
    const bool devices = readable[1] && ears.monitor.Drain();
    const bool mode = readable[2] && ears.documents.Drain("cc-manager.json");
    if (devices || mode || clock.Now() >= deadline) return true;
  }
}

absl::StatusOr<std::vector<UnitOutcome>> Pass(Deps& deps, const Options& options) {
  ForgetAbsent(deps.fs);
  GPUHOST_ASSIGN(const vfio::Request request, MakeRequest(deps.fs, options));
  return Apply(deps, request, {.lock_limit = kLockLimit}, /*dry_run=*/false);
}

bool AnyFailed(const absl::StatusOr<std::vector<UnitOutcome>>& pass) {
  return pass.ok() && std::ranges::any_of(
                          *pass, [](const UnitOutcome& outcome) { return !outcome.status.ok(); });
}

std::string StateOf(const absl::StatusOr<std::vector<UnitOutcome>>& pass) {
  if (!pass.ok()) return Text(pass.status());
  const auto failed =
      std::ranges::count_if(*pass, [](const UnitOutcome& outcome) { return !outcome.status.ok(); });
  return failed == 0 ? "GPUs are on VFIO" : fmt::format("{} not as wanted, see the log", failed);
}

}  // namespace

void ForgetReleases(HostFs& fs) {
  for (const auto& [bdf, record] : vfio::ReadRecords(fs)) {
    const bool has_driver = fs.Exists(pci::SysfsPath(bdf, "driver"));
    if (record.state != vfio::Record::State::kReleased || has_driver) continue;
    vfio::Record taken = record;
    taken.state = vfio::Record::State::kTaken;
    vfio::WriteRecord(fs, bdf, taken).IgnoreError();  // then it stays released, and the log says so
  }
}

void ForgetAbsent(HostFs& fs) {
  for (const auto& [bdf, record] : vfio::ReadRecords(fs)) {
    if (!fs.Exists(pci::SysfsPath(bdf))) vfio::RemoveRecord(fs, bdf).IgnoreError();
  }
}

int UnbindAtExit(Deps& deps, const Options& options) {
  if (options.on_exit == OnExit::kLeave) {
    Log(Level::kInfo, "stopping; devices stay as they are");
    return service::kDone;
  }
  Options unbind = options;
  unbind.verb = Verb::kUnbind;
  unbind.to = vfio::Goal::kDriverless;
  unbind.foreign = options.on_exit == OnExit::kUnbindAll;
  const auto request = MakeRequest(deps.fs, unbind);
  const auto outcomes =
      request.ok()
          ? Apply(deps, *request, {.lock_limit = kLockLimit, .forget = true}, /*dry_run=*/false)
          : absl::StatusOr<std::vector<UnitOutcome>>(request.status());
  if (!outcomes.ok() && !absl::IsNotFound(outcomes.status())) {
    Log(Level::kError, "stopping; nothing unbound", {{"error", outcomes.status()}});
    return service::kFailed;
  }
  int exit_code = service::kDone;
  for (const auto& [unit, status] : outcomes.value_or(std::vector<UnitOutcome>())) {
    if (status.ok()) continue;
    exit_code = service::kFailed;
    Log(Level::kWarning, "not unbound", {{"bdf", NamesOf(unit)}, {"error", status}});
  }
  const absl::Status files = WriteValidationFiles(deps.fs, options.validation_files, false);
  if (!files.ok()) Log(Level::kWarning, "validation files not written", {{"error", files}});
  Log(Level::kInfo, "stopping; devices that were free are unbound");
  return exit_code;
}

int RunDaemon(Deps& deps, const Options& options) {
  const auto instance = service::Instance::Claim(deps.fs, "vfio-manager");
  auto ears = Listen();  // before the first scan, so that no change is missed
  for (const absl::Status& status : {instance.status(), ears.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  ForgetReleases(deps.fs);
  Reporter reporter(deps.fs, options.validation_files);
  Duration retry = kFirstRetry;
  while (true) {
    const absl::Status watched = ears->documents.Watch(deps.fs.Resolve(kDocuments));
    if (!watched.ok()) Log(Level::kWarning, "cannot follow cc-manager", {{"error", watched}});
    const auto pass = Pass(deps, options);
    reporter.Report(pass);
    if (absl::IsInvalidArgument(pass.status())) return service::kUsage;
    if (absl::IsUnavailable(pass.status())) return service::kImpossible;
    const std::string state = StateOf(pass);
    service::Notify({.ready = true, .status = state});
    if (!Wait(*ears, deps.clock, AnyFailed(pass) ? retry : kRescan)) break;
    retry = AnyFailed(pass) ? std::min(2 * retry, kRescan) : kFirstRetry;
  }
  service::Notify({.stopping = true});
  return UnbindAtExit(deps, options);
}

}  // namespace gpuhost::vfio_manager
