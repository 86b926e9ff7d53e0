// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/apply.h"

#include <fmt/chrono.h>

#include <algorithm>

#include "daemons/kata-manager/backup.h"
#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr size_t kRememberedRestarts = 8;

// The files as they are, or are to be, must do for a start, whoever wrote what is wrong with them.
absl::Status CheckStarts(const ApplyDeps& deps, const Location& where,
                         const std::string& but_for = "") {
  if (IsCrio(where)) return absl::OkStatus();
  return CheckImports(ReadClosure(deps.fs, deps.host, where), but_for);
}

// Whether containerd has to be restarted for the plan.
absl::StatusOr<bool> Matters(ApplyDeps& deps, const Observed& observed, const Plan& plan) {
  GPUHOST_TRY(CheckStarts(deps, observed.where, OwnFileSeen(observed.where)));
  if (!deps.program) return true;
  return Rehearse(deps.fs, *deps.program, observed, plan, deps.scratch);
}

// Whether the plan brings back what the containerd that runs was started with.
bool StillRunsWith(ApplyDeps& deps, const Location& where, const Plan& plan, const State& state) {
  if (!deps.settled || state.restart_due || deps.settled->handlers != plan.handlers) return false;
  const Permission permission = MayRestart(deps.restart, where, deps.policy, state);
  const auto unit = deps.restart.services.Look(permission.unit);
  return unit.ok() && unit->active && unit->active_since < deps.settled->at;
}

absl::Status CommitAll(ApplyDeps& deps, const Plan& plan, bool matters, State& state) {
  GPUHOST_TRY(KeepBackup(deps.fs, deps.artifacts_dir, plan.changes));
  if (matters) {
    GPUHOST_TRY(BeginChange(deps.fs, deps.artifacts_dir, plan.changes, deps.restart.now(), state));
  }
  absl::Status done;
  for (const FileChange& change : plan.changes) {
    if (done.ok()) done = Commit(deps.fs, change);
  }
  const absl::Status ended = EndChange(deps.fs, deps.artifacts_dir, state);
  return done.ok() ? ended : done;
}

// Written down before it is done, so that it counts however it ends.
absl::Status CountRestart(ApplyDeps& deps, State& state) {
  state.restarts.push_back(deps.restart.now());
  if (state.restarts.size() > kRememberedRestarts) state.restarts.erase(state.restarts.begin());
  return WriteState(deps.fs, deps.artifacts_dir, state);
}

// The restart of a way back. A containerd that still runs is not ended where its files would not
// do for a start.
absl::Status RestartAgain(ApplyDeps& deps, const Location& where, const std::string& unit,
                          State& state) {
  const auto now = deps.restart.services.Look(unit);
  if (now.ok() && now->active && now->state != "activating") {
    GPUHOST_TRY(Annotate(CheckStarts(deps, where), "it is not restarted once more"));
  }
  GPUHOST_TRY(CountRestart(deps, state));
  const absl::Status again = RestartAndWatch(deps.restart, where, unit, {});
  const absl::Status up = CheckUp(deps.restart, where);
  return up.ok() || again.ok() ? again : Annotate(up, Text(again));
}

// Everything as it was before the last changes, also in what containerd runs with.
absl::Status RollBack(ApplyDeps& deps, const Location& where, const std::string& unit,
                      const absl::Status& cause, State& state) {
  GPUHOST_ASSIGN(const auto changes, ReadBackup(deps.fs, deps.artifacts_dir));
  GPUHOST_TRY(Annotate(TakeBack(deps.fs, changes),
                       fmt::format("{}; and taking the change back failed", Text(cause))));
  state.refused = DigestOf(changes);
  state.restart_due = false;
  const absl::Status again = RestartAgain(deps, where, unit, state);
  if (absl::IsCancelled(again)) return again;
  return Error(absl::StatusCode::kFailedPrecondition, "{}; the change was taken back{}",
               Text(cause), again.ok() ? "" : ", and yet: " + Text(again));
}

// Seconds until the restart for the last change may be done. A clock that was put back ends it.
int64_t TurnIn(int64_t now, const State& state, int64_t stagger) {
  const int64_t passed = now - state.changed;
  return passed < 0 ? 0 : std::max<int64_t>(stagger - passed, 0);
}

absl::Status Waits(const std::string& unit, int64_t turn) {
  return Error(absl::StatusCode::kUnavailable,
               "{} is restarted at {:%Y-%m-%dT%H:%M:%SZ}, when it is this node's turn "
               "(containerd.restartJitter); kata-manager apply does it at once",
               unit, fmt::gmtime(static_cast<std::time_t>(turn)));
}

// `names`: of the handlers that containerd must have after a restart.
absl::Status TakeUp(ApplyDeps& deps, const Location& where, const std::vector<std::string>& names,
                    State& state, Applied& applied) {
  const Permission permission = MayRestart(deps.restart, where, deps.policy, state);
  if (permission.unit.empty() && permission.status.ok()) {  // it reads its files when it starts
    state.restart_due = false;
    return WriteState(deps.fs, deps.artifacts_dir, state);
  }
  if (!permission.unit.empty()) {
    const auto unit = deps.restart.services.Look(permission.unit);
    if (unit.ok() && unit->active_since > state.changed) {  // somebody has done it
      state.restart_due = false;
      return WriteState(deps.fs, deps.artifacts_dir, state);
    }
  }
  applied.due = permission.status;
  if (!permission.status.ok()) return absl::OkStatus();
  applied.turn = TurnIn(deps.restart.now(), state, deps.stagger);
  if (applied.turn > 0) {
    applied.due = Waits(permission.unit, state.changed + deps.stagger);
    return absl::OkStatus();
  }
  applied.due = CheckStarts(deps, where);
  if (!applied.due.ok()) return absl::OkStatus();
  GPUHOST_TRY(CountRestart(deps, state));
  const absl::Status restarted = RestartAndWatch(deps.restart, where, permission.unit, names);
  if (absl::IsCancelled(restarted)) return restarted;
  if (!restarted.ok()) return RollBack(deps, where, permission.unit, restarted, state);
  applied.restarted = true;
  state.restart_due = false;
  return WriteState(deps.fs, deps.artifacts_dir, state);
}

}  // namespace

absl::Status CheckSandboxes(const HostFs& fs, const Plan& plan) {
  std::vector<std::string> leaving = plan.ours;
  std::erase_if(leaving, [&](const std::string& name) {
    return std::ranges::find(plan.handlers, name, &Handler::name) != plan.handlers.end();
  });
  const auto sandboxes = SandboxesOf(fs, leaving);
  if (sandboxes.empty()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} sandboxes run with {}, {} among them; end their pods first, or use --force",
               sandboxes.size(), fmt::join(leaving, ", "), sandboxes.front());
}

absl::StatusOr<Applied> Apply(ApplyDeps& deps, const Observed& observed, const Plan& plan) {
  GPUHOST_ASSIGN(State state, ReadState(deps.fs, deps.artifacts_dir));
  GPUHOST_TRY(EndChange(deps.fs, deps.artifacts_dir, state));  // of one who was killed in it
  if (CorrectClock(state, deps.restart.now())) {
    GPUHOST_TRY(WriteState(deps.fs, deps.artifacts_dir, state));
  }
  Applied applied;
  if (!plan.changes.empty()) {
    if (!deps.force && DigestOf(plan.changes) == state.refused) {
      if (state.restart_due) GPUHOST_TRY(TakeUp(deps, observed.where, {}, state, applied));
      return absl::FailedPreconditionError(
          fmt::format("this change was taken back before, by hand or as {} did not come up with "
                      "it; see its journal, then use apply --force",
                      RuntimeName(observed.where)));
    }
    if (!deps.force) GPUHOST_TRY(CheckSandboxes(deps.fs, plan));
    GPUHOST_ASSIGN(const bool matters, Matters(deps, observed, plan));
    const bool is_new = matters && !StillRunsWith(deps, observed.where, plan, state);
    GPUHOST_TRY(CommitAll(deps, plan, is_new, state));
    applied.changed = true;
  }
  const std::vector<std::string> names = NamesOf(plan.handlers);
  if (state.restart_due) GPUHOST_TRY(TakeUp(deps, observed.where, names, state, applied));
  if (!names.empty()) applied.loaded = Loaded(deps.restart, observed.where);
  return applied;
}

absl::StatusOr<std::string> DescribeRestart(ApplyDeps& deps, const Observed& observed,
                                            const Plan& plan) {
  GPUHOST_ASSIGN(State state, ReadState(deps.fs, deps.artifacts_dir));
  CorrectClock(state, deps.restart.now());
  bool due = state.restart_due;
  if (!plan.changes.empty()) {
    GPUHOST_ASSIGN(const bool matters, Matters(deps, observed, plan));
    due = due || matters;
  }
  const std::string name = RuntimeName(observed.where);
  if (!due) return "no restart of " + name;
  const Permission permission = MayRestart(deps.restart, observed.where, deps.policy, state);
  if (!permission.status.ok()) {
    return fmt::format("a restart of {} is needed: {}", name, Text(permission.status));
  }
  if (permission.unit.empty()) return fmt::format("no restart: {} does not run", name);
  return fmt::format("{} is restarted", permission.unit);
}

}  // namespace gpuhost::kata_manager::containerd
