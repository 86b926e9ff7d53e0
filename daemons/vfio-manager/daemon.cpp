// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/daemon.h"

#include <algorithm>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/notify.h"
#include "daemons/common/service/signals.h"
#include "daemons/vfio-manager/ears.h"
#include "daemons/vfio-manager/render.h"
#include "daemons/vfio-manager/reporter.h"
#include "daemons/vfio-manager/retries.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

using service::Level;
using service::Log;

// One that somebody else is changing must not keep the daemon from the others; it comes back to it.
constexpr Duration kLockLimit = std::chrono::seconds(2);

absl::StatusOr<std::vector<UnitOutcome>> Pass(Deps& deps, const Options& options,
                                              Retries& retries) {
  ForgetAbsent(deps.fs);
  GPUHOST_ASSIGN(const vfio::Request request, MakeRequest(deps.fs, options));
  return Apply(deps, request, {.lock_limit = kLockLimit}, /*dry_run=*/false, &retries);
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

int Loop(Deps& deps, const Options& options, const WaitForChange& wait) {
  ForgetReleases(deps.fs);
  Reporter reporter(deps.fs, options.validation_files);
  Retries retries;
  Duration pause{};
  do {
    const auto pass = Pass(deps, options, retries);
    reporter.Report(pass);
    if (absl::IsInvalidArgument(pass.status())) return service::kUsage;
    if (absl::IsUnavailable(pass.status())) return service::kImpossible;
    const std::string state = StateOf(pass);
    service::Notify({.ready = true, .status = state});
    pause = pass.ok() ? retries.Pause(deps.clock.Now()) : Retries::kMost;
  } while (wait(pause));
  service::Notify({.stopping = true});
  return UnbindAtExit(deps, options);
}

int RunDaemon(Deps& deps, const Options& options) {
  const auto instance = service::Instance::Claim(deps.fs, "vfio-manager");
  const auto stop = service::StopSignal::Block();
  // Before the first scan, so that no change is missed.
  auto ears = stop.ok() ? Ears::Open(deps.fs, stop->fd()) : absl::StatusOr<Ears>(stop.status());
  for (const absl::Status& status : {instance.status(), ears.status()}) {
    if (status.ok()) continue;
    Log(Level::kError, "cannot start", {{"error", status}});
    return service::kFailed;
  }
  return Loop(deps, options,
              [&](Duration limit) { return ears->Wait(deps.clock, limit) != Ears::Heard::kStop; });
}

}  // namespace gpuhost::vfio_manager
