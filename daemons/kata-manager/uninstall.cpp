// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/manager.h"
#include "daemons/kata-manager/places.h"
#include "daemons/kata-manager/references.h"
#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

absl::StatusOr<std::vector<std::string>> AllPlaces(const Deps& deps, const Options& options,
                                                   const Config& config) {
  GPUHOST_ASSIGN(std::vector<std::string> places, ReadPlaces(deps.fs));
  const std::string now = ArtifactsDir(options, config);
  if (std::ranges::find(places, now) == places.end()) places.push_back(now);
  return places;
}

// That nothing below these directories is needed any more once `changes` are made.
absl::Status CheckUnneeded(const Deps& deps, const containerd::Location& where,
                           const std::vector<FileChange>& changes,
                           const std::vector<std::string>& places) {
  GPUHOST_ASSIGN(const auto references, ReferencesTo(deps.fs, deps.host, where, changes, places));
  if (!references.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the container runtime still has what is not between our marks: {}; somebody has "
                 "written it anew. Take it out by hand first",
                 fmt::join(references, "; "));
  }
  for (const std::string& place : places) {
    if (!IsInUse(deps.fs, deps.fs.Resolve(place + "/classes"))) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "a guest still uses files of {}/classes; end it and try again", place);
  }
  return absl::OkStatus();
}

absl::Status CheckUninstall(Deps& deps, const Options& options, const Config& none,
                            const std::vector<std::string>& places) {
  GPUHOST_ASSIGN(const RuntimePlan planned, PlanRuntime(deps, options, none));
  GPUHOST_ASSIGN(const containerd::Location where, LocationFor(deps, options, none));
  if (!options.force) GPUHOST_TRY(containerd::CheckSandboxes(deps.fs, planned.plan));
  return CheckUnneeded(deps, where, planned.plan.changes, places);
}

absl::Status RemovePlaces(Deps& deps, const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    GPUHOST_TRY(RemoveAll(deps.fs, place));
    GPUHOST_TRY(LeavePlace(deps.fs, place));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RetirePlaces(Deps& deps, const Options& options,
                                                      const Config& config) {
  GPUHOST_ASSIGN(std::vector<std::string> places, ReadPlaces(deps.fs));
  std::erase(places, ArtifactsDir(options, config));
  if (places.empty()) return places;
  GPUHOST_ASSIGN(const containerd::Location where, LocationFor(deps, options, config));
  GPUHOST_TRY(CheckUnneeded(deps, where, {}, places));
  GPUHOST_TRY(RemovePlaces(deps, places));
  return places;
}

Report Uninstall(Deps& deps, const Options& options, const Config& config) {
  Report report;
  Config none = config;
  none.classes.clear();
  const auto places = AllPlaces(deps, options, config);
  const absl::Status allowed =
      places.ok() ? CheckUninstall(deps, options, none, *places) : places.status();
  if (!allowed.ok()) {
    report.parts.push_back({"uninstall", allowed});
    return report;
  }
  const auto applied = ApplyRuntime(deps, options, none);
  report.parts.push_back({"container runtime", applied.status()});
  if (applied.ok()) report.runtime = *applied;
  report.down = RuntimeDown(deps, options, none);
  if (!report.AllWell()) return report;  // what still runs may need the artefacts
  report.parts.push_back({"artefacts", RemovePlaces(deps, *places)});
  if (!report.AllWell()) return report;
  report.parts.push_back({"CDI files", RemoveCdi(deps.fs)});
  return report;
}

}  // namespace gpuhost::kata_manager
