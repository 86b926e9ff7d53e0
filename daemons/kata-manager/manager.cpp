// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/manager.h"

#include <unistd.h>

#include <algorithm>

#include "daemons/kata-manager/containerd/closure.h"
#include "daemons/kata-manager/containerd/serving.h"
#include "daemons/kata-manager/containerd/splice.h"
#include "daemons/kata-manager/edit_lock.h"
#include "daemons/kata-manager/handlers.h"
#include "daemons/kata-manager/kata_config.h"
#include "daemons/kata-manager/modules.h"
#include "daemons/kata-manager/names.h"
#include "daemons/kata-manager/places.h"
#include "daemons/kata-manager/rivals.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kCrioConfig = "/etc/crio/crio.conf";
const std::string kElsewhere = "/run/nvidia/gpuhost";  // for copies, where nothing is to be made

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
  GPUHOST_TRY(EnterPlace(deps.fs, artifacts_dir));
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

// The configuration as far as it is about the container runtime.
Config ForRuntime(const Config& config) {
  Config result = config;
  if (config.placement == Placement::kOff) result.classes.clear();
  return result;
}

// Whether the container runtime is none of our business: handlers are not wanted, and this program
// has never changed its files.
bool IsLeftAlone(const Deps& deps, const Options& options, const Config& config) {
  return ForRuntime(config).classes.empty() &&
         !HasChangedRuntime(deps.fs, ArtifactsDir(options, config));
}

absl::Status NotLoaded(const std::vector<std::string>& missing) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "the container runtime runs without {}, which its files have; restart it, and see "
               "its journal",
               fmt::join(missing, ", "));
}

// The program that is asked must be of the version that runs: the two take different files.
absl::Status CheckVersion(const Deps& deps, const containerd::Location& where,
                          const std::string& said, containerd::Version version) {
  const auto runs = deps.restart.version(where.socket);
  if (!runs.ok()) {  // it does not run, or has no CRI
    if (!where.program_was_replaced) return absl::OkStatus();
    return Annotate(runs.status(),
                    "containerd runs with a program that has been replaced since, and does not "
                    "tell its version; restart it first");
  }
  const auto its = containerd::ParseVersion(runs->version);
  if (runs->name == "containerd" && its.ok() && *its == version) return absl::OkStatus();
  return Error(
      absl::StatusCode::kFailedPrecondition,
      "which containerd is meant is not clear: {} {} answers at {}, and {} says '{}'; "
      "restart it if it was upgraded, or have its unit start the right program. Nothing is "
      "changed before that",
      runs->name, runs->version, where.socket, fmt::join(where.programs, ", "),
      said.substr(0, said.find('\n')));
}

// containerd 1.x takes the table of a plugin from the last file that has one, as a whole
// (1.6.20, 1.7.35).
absl::Status CheckNotReplaced(const Deps& deps, const containerd::Observed& observed) {
  const containerd::Location& where = observed.where;
  if (!observed.version || *observed.version >= containerd::Version{2, 0}) return absl::OkStatus();
  GPUHOST_ASSIGN(const MainFile main,
                 ReadMainFile(where.main, observed.main.value_or("version = 2")));
  GPUHOST_ASSIGN(const std::string plugin, containerd::PluginId(main.version));
  const std::string table = fmt::format("plugins.{}.", TomlKey(plugin));
  for (const auto& file : containerd::ReadClosure(deps.fs, deps.host, where)) {
    if (file.importer.empty() || file.path == containerd::OwnFileSeen(where)) continue;
    const Flat flat = Flatten(file.path, file.text.value_or("")).value_or(Flat());
    const auto found = flat.lower_bound(table);
    if (found == flat.end() || !found->first.starts_with(table)) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}, which {} imports, has {}, and containerd {}.{} takes the whole table of that "
                 "plugin from there: what is in {} has no effect. Move it into {} and take the "
                 "file away, or update containerd to 2.0",
                 file.path, file.importer, found->first, observed.version->major,
                 observed.version->minor, where.main, where.main);
  }
  return absl::OkStatus();
}

// A directory for copies that containerd's program sees, too. A look makes none for good.
std::string ScratchFor(const Deps& deps, const Options& options, const std::string& artifacts_dir) {
  const bool looks =
      options.verb == Verb::kPlan || options.verb == Verb::kStatus || options.verb == Verb::kVerify;
  const bool there = ::access(deps.fs.Resolve(artifacts_dir).c_str(), W_OK) == 0;
  return (looks && !there ? kElsewhere : artifacts_dir) + "/rehearsal";
}

absl::Status AskProgram(Deps& deps, const Options& options, const Config& config, bool wanted,
                        containerd::Observed& observed) {
  const auto program = deps.find_program(observed.where);
  // To take handlers away it is not needed.
  if (!program.ok()) return wanted ? program.status() : absl::OkStatus();
  GPUHOST_ASSIGN(const std::string said, program->version());
  GPUHOST_ASSIGN(observed.version, containerd::ParseVersion(said));
  if (!wanted) return absl::OkStatus();
  GPUHOST_TRY(CheckVersion(deps, observed.where, said, *observed.version));
  GPUHOST_TRY(containerd::CheckImports(containerd::ReadClosure(deps.fs, deps.host, observed.where),
                                       containerd::OwnFileSeen(observed.where)));
  if (!observed.where.merged.empty()) return absl::OkStatus();
  GPUHOST_TRY(CheckNotReplaced(deps, observed));
  GPUHOST_ASSIGN(observed.bare, containerd::DumpWithoutUs(
                                    deps.fs, *program, observed,
                                    ScratchFor(deps, options, ArtifactsDir(options, config))));
  return absl::OkStatus();
}

absl::StatusOr<RuntimePlan> PlanFor(Deps& deps, const Options& options, const Config& whole,
                                    bool all_classes) {
  const Config config = ForRuntime(whole);
  GPUHOST_ASSIGN(const containerd::Location where, LocationFor(deps, options, config));
  RuntimePlan result;
  GPUHOST_ASSIGN(result.observed, containerd::Observe(deps.fs, where));
  GPUHOST_ASSIGN(const auto handlers, HandlersFor(deps, ArtifactsDir(options, config), config,
                                                  result.observed, all_classes));
  if (IsCrio(options)) {
    result.plan = MakeCrioPlan(result.observed, handlers);
    return result;
  }
  GPUHOST_TRY(AskProgram(deps, options, config, !handlers.empty(), result.observed));
  GPUHOST_ASSIGN(result.plan, containerd::MakePlan(result.observed, handlers));
  return result;
}

Config Without(Config config, const std::map<std::string, absl::Status>& names) {
  std::erase_if(config.classes,
                [&](const RuntimeClass& entry) { return names.contains(entry.name); });
  return config;
}

// Classes that this containerd does not take, where it takes others: they do not keep those out.
// One that it has been told of before is none of them, for its handler would go.
std::map<std::string, absl::Status> Unfit(Deps& deps, const Options& options, const Config& config,
                                          const RuntimePlan& planned) {
  std::map<std::string, absl::Status> unfit;
  if (planned.plan.handlers.size() < 2 || planned.plan.changes.empty()) return unfit;
  const auto apply = ApplyDepsFor(deps, options, config, planned.observed.where);
  if (!apply.program) return unfit;
  const auto rehearse = [&](const RuntimePlan& plan) {
    return containerd::Rehearse(deps.fs, *apply.program, plan.observed, plan.plan, apply.scratch)
        .status();
  };
  if (!absl::IsFailedPrecondition(rehearse(planned))) return unfit;
  for (const RuntimeClass& entry : config.classes) {
    if (IsTold(planned.observed, entry.name)) continue;
    Config alone = config;
    std::erase_if(alone.classes, [&](const RuntimeClass& other) {
      return other.name != entry.name && !IsTold(planned.observed, other.name);
    });
    const auto plan = PlanFor(deps, options, alone, /*all_classes=*/false);
    const absl::Status status = plan.ok() ? rehearse(*plan) : plan.status();
    if (!status.ok()) unfit[entry.name] = status;
  }
  return unfit.size() < config.classes.size() ? unfit : std::map<std::string, absl::Status>();
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

}  // namespace

absl::StatusOr<containerd::Applied> ApplyRuntime(Deps& deps, const Options& options,
                                                 const Config& config) {
  if (IsLeftAlone(deps, options, config)) return containerd::Applied();
  GPUHOST_ASSIGN(const EditLock lock,
                 EditLock::Acquire(deps.fs, deps.clock, deps.restart.stopping));
  GPUHOST_ASSIGN(RuntimePlan planned, PlanFor(deps, options, config, /*all_classes=*/false));
  const auto unfit = Unfit(deps, options, config, planned);
  if (!unfit.empty()) {
    GPUHOST_ASSIGN(planned, PlanFor(deps, options, Without(config, unfit), false));
  }
  if (!planned.plan.changes.empty()) {
    GPUHOST_TRY(EnterPlace(deps.fs, ArtifactsDir(options, config)));
  }
  for (const std::string& path : {planned.observed.where.main, planned.observed.where.file}) {
    GPUHOST_TRY(RemoveLeftOvers(deps.fs, path));
  }
  for (const FileChange& change : planned.plan.changes) {
    GPUHOST_TRY(deps.drift.Check(change.path, change.before));
  }
  auto apply = ApplyDepsFor(deps, options, config, planned.observed.where);
  GPUHOST_ASSIGN(containerd::Applied applied,
                 containerd::Apply(apply, planned.observed, planned.plan));
  applied.unfit = unfit;
  Remember(deps.drift, planned);
  const auto missing =
      containerd::Missing(applied.loaded, containerd::NamesOf(planned.plan.handlers));
  if (applied.due.ok() && !missing.empty()) applied.due = NotLoaded(missing);
  deps.settled.reset();
  if (applied.due.ok()) deps.settled = {planned.plan.handlers, deps.restart.now()};
  return applied;
}

absl::StatusOr<containerd::Location> LocationFor(const Deps& deps, const Options& options,
                                                 const Config& config) {
  if (IsCrio(options)) {
    return CrioLocation(options.crio_config.empty() ? kCrioConfig : options.crio_config);
  }
  return containerd::FindServing({deps.fs, deps.host, deps.restart.services},
                                 {.flavor = config.flavor,
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
  if (!down.ok()) return Text(down);
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
          .host = deps.host,
          .restart = deps.restart,
          .program = program.ok() ? std::optional(*std::move(program)) : std::nullopt,
          .artifacts_dir = ArtifactsDir(options, config),
          .scratch = ScratchFor(deps, options, ArtifactsDir(options, config)),
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
  if (config.placement == Placement::kOff) return std::nullopt;
  if (IsLeftAlone(deps, options, config)) return std::nullopt;
  const auto where = LocationFor(deps, options, config);
  return where.ok() ? containerd::Loaded(deps.restart, *where) : std::nullopt;
}

absl::Status RuntimeDown(Deps& deps, const Options& options, const Config& config) {
  if (IsLeftAlone(deps, options, config)) return absl::OkStatus();
  const auto where = LocationFor(deps, options, config);
  return where.ok() ? containerd::CheckUp(deps.restart, *where) : absl::OkStatus();
}

Report Pass(Deps& deps, const Options& options, const Config& config) {
  Report report;
  deps.heartbeat->Beat(deps.clock);
  if (options.load_modules) {
    report.parts.push_back({"modules", EnsureModules(deps.fs, deps.load_module)});
  }
  const CdiMode cdi = options.cdi_enabled == false ? CdiMode::kVerify : config.cdi;
  report.cdi = LookAfterCdi(deps.fs, cdi, &deps.drift);
  const std::string artifacts_dir = ArtifactsDir(options, config);
  for (const RuntimeClass& entry : config.classes) {
    report.parts.push_back(
        {"class " + entry.name, EstablishClass(deps, artifacts_dir, entry, config)});
    deps.heartbeat->Beat(deps.clock);
    const auto dropped = IsCrio(options) ? DroppedByCrio(entry) : std::vector<std::string>();
    if (dropped.empty()) continue;
    report.notes.push_back(fmt::format("class {}: CRI-O has no place for {}, which is left out",
                                       entry.name, fmt::join(dropped, ", ")));
  }
  const auto applied = ApplyRuntime(deps, options, config);
  report.parts.push_back({"container runtime", applied.status()});
  if (applied.ok()) report.runtime = *applied;
  for (Part& part : report.parts) {
    for (const auto& [name, status] : report.runtime.unfit) {
      if (part.name == "class " + name && part.status.ok()) part.status = status;
    }
  }
  report.down = RuntimeDown(deps, options, config);
  report.repaired = deps.drift.TakeRepaired();
  for (const std::string& path : deps.drift.given_up()) {
    report.given_up.push_back({path, GaveUp(deps.fs, path)});
  }
  return report;
}

}  // namespace gpuhost::kata_manager
