// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/run.h"

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/vfio-manager/render.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

using service::Level;
using service::Log;

struct Words {
  std::string_view done, failed;
};

Words WordsOf(vfio::Goal goal) {
  switch (goal) {
    case vfio::Goal::kVfio:
      return {"bound", "not bound"};
    case vfio::Goal::kTaken:
      return {"taken from its driver", "not taken from its driver"};
    case vfio::Goal::kDriverless:
    case vfio::Goal::kDefault:
    case vfio::Goal::kNvidia:
      break;
  }
  return {"unbound", "not unbound"};
}

std::string DriverNow(const HostFs& fs, const vfio::Unit& unit) {
  return fs.LinkName(pci::SysfsPath(unit.leads.front(), "driver")).value_or("none");
}

int ExitCodeOf(const absl::Status& pass, const Options& options) {
  if (absl::IsInvalidArgument(pass)) return service::kUsage;
  const bool nothing_here = absl::IsNotFound(pass);
  if (options.compat_exit || (nothing_here && options.verb == Verb::kUninstall)) {
    return service::kDone;
  }
  return nothing_here || absl::IsUnavailable(pass) ? service::kImpossible : service::kFailed;
}

}  // namespace

int RunOnce(Deps& deps, const Options& options) {
  const auto request = MakeRequest(deps.fs, options);
  const auto outcomes = request.ok() ? Apply(deps, *request, vfio::Conduct(), options.dry_run)
                                     : absl::StatusOr<std::vector<UnitOutcome>>(request.status());
  if (!outcomes.ok()) {
    Log(Level::kError, "nothing changed", {{"error", outcomes.status()}});
    return ExitCodeOf(outcomes.status(), options);
  }
  if (options.dry_run) {
    fmt::print("{}", options.json ? RenderJson(*outcomes) : RenderText(*outcomes));
  }
  const Words words = WordsOf(request->goal);
  bool failed = false;
  for (const auto& [unit, status] : *outcomes) {
    failed = failed || !status.ok();
    if (options.dry_run) continue;
    for (const std::string& loss : unit.losses) {
      if (status.ok()) Log(Level::kWarning, "something is lost", {{"what", loss}});
    }
    if (!status.ok()) {
      Log(Level::kError, words.failed, {{"bdf", NamesOf(unit)}, {"error", status}});
    } else if (!unit.note.empty()) {
      Log(Level::kInfo, "left alone", {{"bdf", NamesOf(unit)}, {"reason", unit.note}});
    } else {
      Log(Level::kInfo, words.done, {{"bdf", NamesOf(unit)}, {"driver", DriverNow(deps.fs, unit)}});
    }
  }
  return failed && !options.compat_exit ? service::kFailed : service::kDone;
}

}  // namespace gpuhost::vfio_manager
