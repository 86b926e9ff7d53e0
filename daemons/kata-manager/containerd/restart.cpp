// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/restart.h"

#include <algorithm>
#include <iterator>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr Duration kJobLimit = std::chrono::minutes(5);
constexpr Duration kSocketLimit = std::chrono::seconds(60);
constexpr Duration kQuiet = std::chrono::seconds(10);
constexpr Duration kInterval = std::chrono::milliseconds(500);
constexpr int64_t kPause = 600, kDay = 86400;  // seconds
constexpr int64_t kPerDay = 3;

absl::Status CheckBudget(const Location& where, const State& state, int64_t now) {
  const auto within = [&](int64_t seconds) {
    return std::ranges::count_if(state.restarts,
                                 [&](int64_t then) { return then > now - seconds; });
  };
  if (within(kPause) == 0 && within(kDay) < kPerDay) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted,
               "{} has been restarted {} times in a day, and once in ten minutes and three "
               "times a day are allowed; it is done later, or restart it by hand",
               RuntimeName(where), within(kDay));
}

absl::Status CheckStopping(const RestartDeps& deps) {
  return deps.stopping && deps.stopping() ? absl::CancelledError("about to end") : absl::OkStatus();
}

// Until `done`, or this process is to end.
template <typename Done>
absl::Status Await(RestartDeps& deps, Duration limit, Done done) {
  return PollUntil(deps.clock, limit, kInterval, [&]() -> absl::StatusOr<bool> {
    GPUHOST_TRY(CheckStopping(deps));
    return done();
  });
}

// The socket is there before CRI is ready.
absl::Status ExpectLoaded(RestartDeps& deps, const Location& where, const std::string& unit,
                          const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  absl::StatusOr<rpc::RuntimeHandlers> loaded;
  const absl::Status told = Await(deps, kSocketLimit, [&] {
    loaded = deps.handlers(where.socket);
    return !absl::IsUnavailable(loaded.status());
  });
  if (absl::IsCancelled(told)) return told;
  if (!told.ok()) return Annotate(loaded.status(), "CRI is not ready after the restart");
  const auto missing = Missing(loaded.value_or(std::nullopt), names);
  if (missing.empty()) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} runs again and has not loaded {}, but {}; see journalctl -u {}", unit,
               fmt::join(missing, ", "), fmt::join(**loaded, ", "), unit);
}

}  // namespace

Permission MayRestart(RestartDeps& deps, const Location& where, Restart policy,
                      const State& state) {
  absl::Status last;
  for (const std::string& name : where.units) {
    const auto unit = deps.services.Look(name);
    if (!unit.ok() && !absl::IsNotFound(unit.status())) last = unit.status();
    if (!unit.ok() || !unit->active) continue;
    if (policy == Restart::kNever || !where.restart_is_safe) {
      return {name, Error(absl::StatusCode::kFailedPrecondition,
                          "{} has to be restarted by hand: {}", name,
                          policy == Restart::kNever ? "containerd.restart is never"
                                                    : "it is the kubelet, too")};
    }
    if (unit->kill_mode != "process") {
      return {name, Error(absl::StatusCode::kFailedPrecondition,
                          "{} has KillMode={}, so that its restart would end all pods; set it to "
                          "process, or drain the node and restart it by hand",
                          name, unit->kill_mode)};
    }
    return {name, CheckBudget(where, state, deps.now())};
  }
  return {"", last};
}

absl::Status CheckUp(RestartDeps& deps, const Location& where) {
  for (const std::string& name : where.units) {
    const auto unit = deps.services.Look(name);
    if (!unit.ok()) continue;
    const bool again = unit->state == "activating" && unit->restarts > 0;
    if (unit->state != "failed" && !again) continue;
    return Error(
        absl::StatusCode::kUnavailable,
        "{0} IS DOWN: {1} {2}, and no pod starts on this node; journalctl -u {1} says why, "
        "systemctl start {1} when that is mended",
        RuntimeName(where), name,
        again ? fmt::format("was started anew {} times", unit->restarts) : "has failed");
  }
  return absl::OkStatus();
}

bool CorrectClock(State& state, int64_t now) {
  bool any = false;
  for (int64_t& then : state.restarts) {
    if (then <= now) continue;
    then = now;
    any = true;
  }
  return any;
}

int64_t StaggerOf(const HostFs& host, int64_t jitter) {
  if (jitter <= 0) return 0;
  const std::string machine = host.ReadAttribute("/etc/machine-id").value_or("");
  const std::string name = host.ReadAttribute("/proc/sys/kernel/hostname").value_or("");
  const std::string digest = Sha256Of(machine.empty() ? name : machine);
  const uint64_t number = ParseHex(std::string_view(digest).substr(0, 15)).value_or(0);
  return static_cast<int64_t>(number % (static_cast<uint64_t>(jitter) + 1));
}

std::vector<std::string> Missing(const rpc::RuntimeHandlers& loaded,
                                 const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  if (!loaded) return missing;
  std::ranges::copy_if(names, std::back_inserter(missing),
                       [&](const std::string& name) { return !loaded->contains(name); });
  return missing;
}

rpc::RuntimeHandlers Loaded(RestartDeps& deps, const Location& where) {
  return deps.handlers(where.socket).value_or(std::nullopt);
}

absl::Status RestartAndWatch(RestartDeps& deps, const Location& where, const std::string& unit,
                             const std::vector<std::string>& names) {
  GPUHOST_TRY(deps.services.Restart(unit, kJobLimit));
  const absl::Status answers =
      Await(deps, kSocketLimit, [&] { return deps.answers(where.socket); });
  if (absl::IsCancelled(answers)) return answers;
  GPUHOST_TRY(Annotate(answers, fmt::format("{} does not answer after its restart", where.socket)));
  GPUHOST_TRY(ExpectLoaded(deps, where, unit, names));
  GPUHOST_ASSIGN(const Unit first, deps.services.Look(unit));
  const TimePoint end = deps.clock.Now() + kQuiet;
  while (deps.clock.Now() < end) {
    GPUHOST_TRY(CheckStopping(deps));
    deps.clock.SleepFor(kInterval);
    GPUHOST_ASSIGN(const Unit later, deps.services.Look(unit));
    if (!later.active || later.restarts != first.restarts) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "{} does not stay up after its restart; see journalctl -u {}", unit, unit);
    }
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager::containerd
