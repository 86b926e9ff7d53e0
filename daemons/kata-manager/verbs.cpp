// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/verbs.h"

#include <algorithm>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "daemons/kata-manager/backup.h"
#include "daemons/kata-manager/edit_lock.h"
#include "daemons/kata-manager/garbage.h"
#include "daemons/kata-manager/handlers.h"
#include "daemons/kata-manager/legacy.h"
#include "daemons/kata-manager/places.h"
#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

using service::Level;
using service::Log;

bool IsNamed(const Options& options, const std::string& name) {
  return options.classes.empty() ||
         std::ranges::find(options.classes, name) != options.classes.end();
}

// Classes that are named on the command line and in no configuration.
absl::Status CheckNames(const Options& options, const Config& config) {
  for (const std::string& name : options.classes) {
    if (std::ranges::find(config.classes, name, &RuntimeClass::name) == config.classes.end()) {
      return Error(absl::StatusCode::kInvalidArgument, "{} has no class '{}'", options.config_path,
                   name);
    }
  }
  return absl::OkStatus();
}

int Tell(const Report& report) {
  for (const Part& part : report.parts) {
    if (part.status.ok()) {
      Log(Level::kInfo, "as wanted", {{"part", part.name}});
    } else {
      Log(Level::kError, "not done", {{"part", part.name}, {"error", part.status}});
    }
  }
  for (const CdiOutcome& outcome : report.cdi) {
    if (outcome.status.ok()) continue;
    Log(Level::kError, "CDI file", {{"kind", outcome.kind}, {"error", outcome.status}});
  }
  for (const std::string& note : report.notes) Log(Level::kWarning, note);
  if (!report.down.ok()) Log(Level::kError, "container runtime", {{"error", report.down}});
  if (!report.runtime.due.ok())
    Log(Level::kWarning, "restart due", {{"reason", report.runtime.due}});
  return report.AllWell() ? service::kDone : service::kFailed;
}

int Fail(const absl::Status& status) {
  Log(Level::kError, "not done", {{"error", status}});
  return absl::IsInvalidArgument(status) ? service::kUsage : service::kFailed;
}

absl::Status PullClass(Deps& deps, const Options& options, const Config& config,
                       const RuntimeClass& entry) {
  GPUHOST_TRY(EnterPlace(deps.fs, ArtifactsDir(options, config)));
  GPUHOST_ASSIGN(const Recipe recipe, deps.fetch(entry, config));
  return Pin(deps.fs, ArtifactsDir(options, config), recipe.identity, recipe.blobs);
}

int Pull(Deps& deps, const Options& options, const Config& config) {
  Report report;
  for (const RuntimeClass& entry : config.classes) {
    if (!IsNamed(options, entry.name) || entry.artifacts.url.empty()) continue;
    report.parts.push_back({"class " + entry.name, PullClass(deps, options, config, entry)});
  }
  return Tell(report);
}

absl::Status RollBackClass(Deps& deps, const std::string& artifacts_dir, const std::string& name) {
  const std::string directory = ClassDirectory(artifacts_dir, name);
  GPUHOST_TRY(Earlier(deps.fs, directory).status());
  const auto current = Current(deps.fs, directory);
  GPUHOST_ASSIGN(State state, ReadState(deps.fs, artifacts_dir));
  // Written first: a pass of `run` in between would put the class forward again.
  state.held[name] = current ? current->identity : "";
  GPUHOST_TRY(WriteState(deps.fs, artifacts_dir, state));
  return StepBack(deps.fs, directory).status();
}

// Not to be done again by itself, and the runtime is to run with what is there now.
absl::Status RollBackRuntime(Deps& deps, const std::string& artifacts_dir) {
  GPUHOST_ASSIGN(const EditLock lock,
                 EditLock::Acquire(deps.fs, deps.clock, deps.restart.stopping));
  GPUHOST_ASSIGN(const auto changes, ReadBackup(deps.fs, artifacts_dir));
  GPUHOST_ASSIGN(State state, ReadState(deps.fs, artifacts_dir));
  GPUHOST_TRY(EndChange(deps.fs, artifacts_dir, state));
  GPUHOST_ASSIGN(const bool any, CanTakeBack(deps.fs, changes));
  if (!any) {
    Log(Level::kInfo, "the files are as before the last change already; nothing was done");
    return absl::OkStatus();
  }
  state.refused = DigestOf(changes);
  GPUHOST_TRY(BeginChange(deps.fs, artifacts_dir, changes, deps.restart.now(), state));
  const absl::Status done = TakeBack(deps.fs, changes);
  if (!done.ok()) state.refused.clear();
  const absl::Status ended = EndChange(deps.fs, artifacts_dir, state);
  GPUHOST_TRY(done);
  GPUHOST_TRY(ended);
  Log(Level::kWarning,
      "the files are as before; the container runtime takes them up with the next "
      "pass of run, or a restart by hand");
  return absl::OkStatus();
}

int RollBack(Deps& deps, const Options& options, const Config& config) {
  const std::string artifacts_dir = ArtifactsDir(options, config);
  if (options.classes.empty()) {
    const absl::Status status = RollBackRuntime(deps, artifacts_dir);
    return status.ok() ? service::kDone : Fail(status);
  }
  Report report;
  for (const std::string& name : options.classes) {
    report.parts.push_back({"class " + name, RollBackClass(deps, artifacts_dir, name)});
  }
  return Tell(report);
}

int Gc(Deps& deps, const Options& options, const Config& config) {
  const auto removed = CollectGarbage(deps.fs, ArtifactsDir(options, config), NamesOf(config));
  if (!removed.ok()) return Fail(removed.status());
  for (const std::string& path : *removed) fmt::print("removed {}\n", path);
  return service::kDone;
}

// One line for each thing that NVIDIA's kata-manager left, or why that is not known.
std::vector<std::string> LegacyLines(const Deps& deps, const Options& options,
                                     const Config& config) {
  const auto legacy = FindLegacy(deps, options, config);
  if (!legacy.ok()) return {Text(legacy.status())};
  auto lines = DescribeLegacy(*legacy);
  for (std::string& line : lines) line += "; kata-manager uninstall --legacy takes it away";
  return lines;
}

int Plan(Deps& deps, const Options& options, const Config& config) {
  const auto text = options.legacy ? DescribeLegacyPlan(deps, options, config)
                                   : DescribePlan(deps, options, config);
  if (!text.ok()) return Fail(text.status());
  fmt::print("{}", text->empty() ? "nothing to do\n" : *text);
  if (!options.legacy) {
    for (const std::string& line : LegacyLines(deps, options, config)) fmt::print("{}\n", line);
  }
  return text->empty() ? static_cast<int>(service::kDone) : kWouldChange;
}

int PrintVerdict(const std::vector<std::string>& wrong) {
  for (const std::string& line : wrong) fmt::print("{}\n", line);
  if (wrong.empty()) fmt::print("all is as it should be\n");
  return wrong.empty() ? service::kDone : service::kFailed;
}

// Which container runtime is meant, by what tells it.
std::string RuntimeLine(const Deps& deps, const Options& options, const Config& config) {
  const auto where = LocationFor(deps, options, config);
  if (!where.ok()) return "container runtime: " + Text(where.status()) + "\n";
  return fmt::format("container runtime: {}, {}, file {}, socket {}{}\n",
                     containerd::RuntimeName(*where), fmt::join(where->units, " or "), where->main,
                     where->socket,
                     where->programs.size() == 1 ? ", program " + where->programs.front() : "");
}

// How silence counts: only where nothing was ever done is it the same as "no classes".
absl::StatusOr<Config> ConfigFor(const Deps& deps, const Options& options) {
  const bool fresh = !HasRecords(deps.fs, options.artifacts_dir);
  // To take back what was done no class has to be known.
  const bool all_goes = options.verb == Verb::kUninstall || options.verb == Verb::kRollback;
  return ReadConfig(
      deps.fs, options.config_path,
      {.missing = !options.config_given && (fresh || all_goes), .empty = fresh || all_goes});
}

}  // namespace

absl::StatusOr<std::string> DescribePlan(Deps& deps, const Options& options, const Config& config) {
  std::string text;
  const std::string artifacts_dir = ArtifactsDir(options, config);
  for (const RuntimeClass& entry : config.classes) {
    const bool has_own = entry.config_path.empty() || !entry.kata.empty();
    if (has_own && !Current(deps.fs, ClassDirectory(artifacts_dir, entry.name))) {
      text += fmt::format("class {}: from {}\n", entry.name,
                          entry.config_path.empty() ? entry.artifacts.url : entry.config_path);
    }
  }
  GPUHOST_ASSIGN(const RuntimePlan planned, PlanRuntime(deps, options, config));
  for (const FileChange& change : planned.plan.changes) text += UnifiedDiff(change);
  if (planned.observed.where.flavor.empty()) return text;  // the runtime is left alone
  auto apply = ApplyDepsFor(deps, options, config, planned.observed.where);
  GPUHOST_ASSIGN(const std::string restart,
                 containerd::DescribeRestart(apply, planned.observed, planned.plan));
  const bool due = ReadState(deps.fs, artifacts_dir).value_or(State()).restart_due;
  if (!planned.plan.changes.empty() || due) text += restart + "\n";
  return text;
}

std::string DescribeStatus(Deps& deps, const Options& options, const Config& config) {
  const std::string artifacts_dir = ArtifactsDir(options, config);
  const rpc::RuntimeHandlers loaded = LoadedHandlers(deps, options, config);
  const auto is_loaded = [&](const std::string& name) {
    return !loaded ? "-" : loaded->contains(name) ? "yes" : "no";
  };
  std::string text = fmt::format("{:<24} {:<11} {:<14} {:<8} {}\n", "CLASS", "GENERATION",
                                 "IDENTITY", "LOADED", "SANDBOXES");
  for (const RuntimeClass& entry : config.classes) {
    const auto current = Current(deps.fs, ClassDirectory(artifacts_dir, entry.name));
    text += fmt::format("{:<24} {:<11} {:<14} {:<8} {}\n", entry.name,
                        current                     ? std::to_string(current->number)
                        : entry.config_path.empty() ? "-"
                                                    : "installed",
                        current ? current->identity.substr(0, 12) : "-", is_loaded(entry.name),
                        SandboxesOf(deps.fs, {entry.name}).size());
  }
  for (const CdiOutcome& outcome : LookAfterCdi(deps.fs, CdiMode::kVerify)) {
    text += fmt::format("{}: {} devices, written by {}\n", outcome.kind, outcome.devices.size(),
                        outcome.owner.empty() ? "nobody" : outcome.owner);
  }
  text += RuntimeLine(deps, options, config);
  const absl::Status down = RuntimeDown(deps, options, config);
  if (!down.ok()) text += Text(down) + "\n";
  for (const std::string& line : LegacyLines(deps, options, config)) text += line + "\n";
  const auto state = ReadState(deps.fs, artifacts_dir);
  if (!state.ok()) return text + Text(state.status()) + "\n";
  if (state->restart_due) text += "the container runtime has to be restarted\n";
  for (const auto& [name, identity] : state->held) {
    text += fmt::format("{} was rolled back from {}\n", name, identity.substr(0, 12));
  }
  return text;
}

std::vector<std::string> Verify(Deps& deps, const Options& options, const Config& config) {
  std::vector<std::string> wrong;
  const std::string artifacts_dir = ArtifactsDir(options, config);
  for (const RuntimeClass& entry : config.classes) {
    const auto current = Current(deps.fs, ClassDirectory(artifacts_dir, entry.name));
    const absl::Status status =
        current ? VerifyGeneration(deps.fs, *current, deps.stopping) : absl::OkStatus();
    if (!status.ok()) wrong.push_back(fmt::format("class {}: {}", entry.name, Text(status)));
  }
  for (const CdiOutcome& outcome : LookAfterCdi(deps.fs, CdiMode::kVerify)) {
    if (!outcome.status.ok()) wrong.push_back(Text(outcome.status));
  }
  const absl::Status down = RuntimeDown(deps, options, config);
  if (!down.ok()) wrong.push_back(Text(down));
  for (const std::string& name :
       containerd::Missing(LoadedHandlers(deps, options, config), NamesOf(config))) {
    wrong.push_back(fmt::format("the container runtime runs without the handler {}", name));
  }
  for (std::string& line : LegacyLines(deps, options, config)) wrong.push_back(std::move(line));
  const auto plan = DescribePlan(deps, options, config);
  if (!plan.ok()) wrong.push_back(Text(plan.status()));
  if (plan.ok() && !plan->empty()) wrong.push_back("not as wanted; see kata-manager plan");
  return wrong;
}

int RunOnce(Deps& deps, const Options& options) {
  const auto config = ConfigFor(deps, options);
  absl::Status usable = config.status();
  if (usable.ok() && options.verb != Verb::kRollback) usable = CheckNames(options, *config);
  if (!usable.ok()) return Fail(usable);
  const bool takes_away =
      (options.verb == Verb::kUninstall && !options.legacy) || options.verb == Verb::kGc;
  if (takes_away && service::IsAlive(deps.fs, "kata-manager")) {
    return Fail(absl::FailedPreconditionError(
        "kata-manager run is at work on this node and would undo it; end it first"));
  }
  switch (options.verb) {
    case Verb::kPlan:
      return Plan(deps, options, *config);
    case Verb::kApply:
      return Tell(Pass(deps, options, *config));
    case Verb::kVerify:
      return PrintVerdict(Verify(deps, options, *config));
    case Verb::kStatus:
      fmt::print("{}", DescribeStatus(deps, options, *config));
      return service::kDone;
    case Verb::kPull:
      return Pull(deps, options, *config);
    case Verb::kGc:
      return Gc(deps, options, *config);
    case Verb::kRollback:
      return RollBack(deps, options, *config);
    case Verb::kUninstall:
      return Tell(options.legacy ? UninstallLegacy(deps, options, *config)
                                 : Uninstall(deps, options, *config));
    case Verb::kPrintRuntimeClasses:
      fmt::print("{}", RenderRuntimeClasses(*config));
      return service::kDone;
    case Verb::kRun:
      break;
  }
  return service::kUsage;
}

}  // namespace gpuhost::kata_manager
