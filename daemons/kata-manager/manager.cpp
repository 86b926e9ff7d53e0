// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/manager.h"

#include <algorithm>

#include "daemons/kata-manager/containerd/splice.h"
#include "daemons/kata-manager/edit_lock.h"
#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/handlers.h"
#include "daemons/kata-manager/kata_config.h"
#include "daemons/kata-manager/modules.h"
#include "daemons/kata-manager/rivals.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kCrioConfig = "/etc/crio/crio.conf";

bool IsCrio(const Options& options) { return options.runtime == "crio"; }

// Whether the class needs a directory of its own.
bool HasGeneration(const RuntimeClass& entry) {
  return entry.config_path.empty() || !entry.kata.empty();
}

absl::Status EstablishClass(Deps& deps, const std::string& artifacts_dir, const RuntimeClass& entry,
                            const Config& config) {
  if (!HasGeneration(entry)) {
    if (deps.host.Exists(entry.config_path)) return absl::OkStatus();
    return Error(absl::StatusCode::kNotFound, "configPath {} is not there", entry.config_path);
  }
  GPUHOST_ASSIGN(const Recipe recipe, entry.config_path.empty()
                                          ? deps.fetch(entry, config)
                                          : RecipeFromInstalled(deps.host, entry));
  GPUHOST_ASSIGN(State state, ReadState(deps.fs, artifacts_dir));
  const auto held = state.held.find(entry.name);
  if (held != state.held.end() && held->second == recipe.identity) return absl::OkStatus();
  const std::string directory = ClassDirectory(artifacts_dir, entry.name);
  GPUHOST_TRY(Establish(deps.fs, directory, recipe, deps.distrust, deps.stopping).status());
  if (held == state.held.end()) return absl::OkStatus();
  state.held.erase(held);  // something else is wanted by now
  return WriteState(deps.fs, artifacts_dir, state);
}

std::string ConfigPathOf(const std::string& artifacts_dir, const RuntimeClass& entry) {
  return HasGeneration(entry) ? ConfigPath(artifacts_dir, entry.name) : entry.config_path;
}

// Whether the container runtime has been told of this class.
bool IsTold(const containerd::Observed& observed, const std::string& name) {
  const std::string table = fmt::format("runtimes.{}]", name);
  return observed.file.value_or("").find(table) != std::string::npos ||
         containerd::TablesInBlock(observed.main.value_or("")).find(table) != std::string::npos;
}

// Handlers of the classes that can be used now, or all of them. One that the runtime has been told
// of stays: its files may be gone for the moment of an upgrade.
absl::StatusOr<std::vector<containerd::Handler>> HandlersFor(Deps& deps,
                                                             const std::string& artifacts_dir,
                                                             const Config& config,
                                                             const containerd::Observed& observed,
                                                             bool all) {
  std::vector<containerd::Handler> handlers;
  for (const RuntimeClass& entry : config.classes) {
    const std::string path = ConfigPathOf(artifacts_dir, entry);
    const bool usable = HasGeneration(entry) ? deps.fs.Exists(path) : deps.host.Exists(path);
    if (!usable && !all && !IsTold(observed, entry.name)) continue;
    auto handler = HandlerFor(deps.host, entry, path);
    if (!handler.ok()) return Annotate(handler.status(), "class " + entry.name);
    handlers.push_back(*std::move(handler));
  }
  return handlers;
}

// Whether the container runtime is none of our business: handlers are not wanted, and this program
// has never changed its files.
bool IsLeftAlone(const Deps& deps, const Options& options, const Config& config) {
  return config.placement == Placement::kOff ||
         (config.classes.empty() &&
          !deps.fs.Exists(ArtifactsDir(options, config) + "/backup.json"));
}

absl::Status NotLoaded(const std::vector<std::string>& missing) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "the container runtime runs without {}, which its files have; restart it, and see "
               "its journal",
               fmt::join(missing, ", "));
}

absl::StatusOr<RuntimePlan> PlanFor(Deps& deps, const Options& options, const Config& config,
                                    bool all_classes) {
  GPUHOST_ASSIGN(const containerd::Location where, LocationFor(deps, options, config));
  RuntimePlan result;
  GPUHOST_ASSIGN(result.observed, containerd::Observe(deps.fs, where));
  GPUHOST_ASSIGN(const auto handlers, HandlersFor(deps, ArtifactsDir(options, config), config,
                                                  result.observed, all_classes));
  if (IsCrio(options)) {
    result.plan = MakeCrioPlan(result.observed, handlers);
    return result;
  }
  const auto program = deps.find_program(where);
  if (program.ok()) {
    GPUHOST_ASSIGN(const std::string said, program->version());
    GPUHOST_ASSIGN(result.observed.version, containerd::ParseVersion(said));
    if (!handlers.empty()) {
      GPUHOST_ASSIGN(result.observed.bare,
                     containerd::DumpWithoutUs(deps.fs, *program, result.observed,
                                               ArtifactsDir(options, config) + "/rehearsal"));
    }
  } else if (!handlers.empty()) {  // to take them away it is not needed
    return program.status();
  }
  GPUHOST_ASSIGN(result.plan, containerd::MakePlan(result.observed, handlers));
  return result;
}

// The files are as wanted now.
void Remember(Drift& drift, const RuntimePlan& planned) {
  const containerd::Observed& observed = planned.observed;
  const auto& changes = planned.plan.changes;
  for (const FileChange& change : changes) drift.Wrote(change.path, change.before, change.after);
  const auto look = [&](const std::string& path, const Drift::Bytes& bytes) {
    if (std::ranges::find(changes, path, &FileChange::path) == changes.end()) {
      drift.Seen(path, bytes);
    }
  };
  look(observed.where.main, observed.main);
  look(observed.where.file, observed.file);
}

absl::StatusOr<containerd::Applied> ApplyRuntime(Deps& deps, const Options& options,
                                                 const Config& config) {
  if (IsLeftAlone(deps, options, config)) return containerd::Applied();
  GPUHOST_ASSIGN(const EditLock lock, EditLock::Acquire(deps.fs, deps.clock));
  GPUHOST_ASSIGN(const RuntimePlan planned, PlanFor(deps, options, config, /*all_classes=*/false));
  for (const FileChange& change : planned.plan.changes) {
    GPUHOST_TRY(deps.drift.Check(change.path, change.before));
  }
  auto apply = ApplyDepsFor(deps, options, config, planned.observed.where);
  GPUHOST_ASSIGN(containerd::Applied applied,
                 containerd::Apply(apply, planned.observed, planned.plan));
  Remember(deps.drift, planned);
  const auto missing =
      containerd::Missing(applied.loaded, containerd::NamesOf(planned.plan.handlers));
  if (applied.due.ok() && !missing.empty()) applied.due = NotLoaded(missing);
  deps.settled.reset();
  if (applied.due.ok()) deps.settled = {planned.plan.handlers, deps.restart.now()};
  return applied;
}

}  // namespace

absl::StatusOr<containerd::Location> LocationFor(const Deps& deps, const Options& options,
                                                 const Config& config) {
  if (IsCrio(options)) {
    return CrioLocation(options.crio_config.empty() ? kCrioConfig : options.crio_config);
  }
  return containerd::Locate(deps.fs, {.flavor = config.flavor,
                                      .main = options.containerd_config,
                                      .directory = options.containerd_directory,
                                      .socket = options.containerd_socket});
}

std::vector<std::string> RuntimeFiles(const Deps& deps, const Options& options,
                                      const Config& config) {
  if (IsLeftAlone(deps, options, config)) return {};
  const auto where = LocationFor(deps, options, config);
  if (!where.ok()) return {};
  return {where->main, EndOfLinks(deps.fs, where->main).value_or(where->main), where->file};
}

bool Report::AllWell() const { return Trouble().empty(); }

std::string Report::Trouble() const {
  for (const Part& part : given_up) return fmt::format("{}: {}", part.name, Text(part.status));
  for (const Part& part : parts) {
    if (!part.status.ok()) return fmt::format("{}: {}", part.name, Text(part.status));
  }
  for (const CdiOutcome& outcome : cdi) {
    if (!outcome.status.ok()) return fmt::format("CDI {}: {}", outcome.kind, Text(outcome.status));
  }
  return runtime.due.ok() ? "" : Text(runtime.due);
}

std::string ArtifactsDir(const Options& options, const Config& config) {
  return config.artifacts_dir.empty() ? options.artifacts_dir : config.artifacts_dir;
}

containerd::ApplyDeps ApplyDepsFor(Deps& deps, const Options& options, const Config& config,
                                   const containerd::Location& where) {
  auto program = IsCrio(options) ? absl::NotFoundError("") : deps.find_program(where);
  return {.fs = deps.fs,
          .restart = deps.restart,
          .program = program.ok() ? std::optional(*std::move(program)) : std::nullopt,
          .artifacts_dir = ArtifactsDir(options, config),
          .policy = config.restart,
          .stagger = options.verb == Verb::kRun
                         ? containerd::StaggerOf(deps.host, config.restart_jitter)
                         : 0,
          .settled = deps.settled,
          .force = options.force};
}

absl::StatusOr<RuntimePlan> PlanRuntime(Deps& deps, const Options& options, const Config& config) {
  if (IsLeftAlone(deps, options, config)) return RuntimePlan();
  return PlanFor(deps, options, config, /*all_classes=*/true);
}

rpc::RuntimeHandlers LoadedHandlers(Deps& deps, const Options& options, const Config& config) {
  if (IsLeftAlone(deps, options, config)) return std::nullopt;
  const auto where = LocationFor(deps, options, config);
  return where.ok() ? containerd::Loaded(deps.restart, *where) : std::nullopt;
}

Report Pass(Deps& deps, const Options& options, const Config& config) {
  Report report;
  if (options.load_modules) {
    report.parts.push_back({"modules", EnsureModules(deps.fs, deps.load_module)});
  }
  const CdiMode cdi = options.cdi_enabled == false ? CdiMode::kVerify : config.cdi;
  report.cdi = LookAfterCdi(deps.fs, cdi, &deps.drift);
  const std::string artifacts_dir = ArtifactsDir(options, config);
  for (const RuntimeClass& entry : config.classes) {
    report.parts.push_back(
        {"class " + entry.name, EstablishClass(deps, artifacts_dir, entry, config)});
  }
  const auto applied = ApplyRuntime(deps, options, config);
  report.parts.push_back({"container runtime", applied.status()});
  if (applied.ok()) report.runtime = *applied;
  report.repaired = deps.drift.TakeRepaired();
  for (const std::string& path : deps.drift.given_up()) {
    report.given_up.push_back({path, GaveUp(deps.fs, path)});
  }
  return report;
}

Report Uninstall(Deps& deps, const Options& options, const Config& config) {
  Report report;
  Config none = config;
  none.classes.clear();
  const auto applied = ApplyRuntime(deps, options, none);
  report.parts.push_back({"container runtime", applied.status()});
  if (applied.ok()) report.runtime = *applied;
  report.parts.push_back({"CDI files", RemoveCdi(deps.fs)});
  if (!report.AllWell()) return report;  // what still runs may need the artefacts
  const std::string artifacts_dir = ArtifactsDir(options, config);
  report.parts.push_back({"artefacts", RemoveAll(deps.fs, artifacts_dir)});
  return report;
}

}  // namespace gpuhost::kata_manager
