// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/health.h"

#include <algorithm>

namespace gpuhost::sandbox_device_plugin {
namespace {

// Decisions of others end when they end; what the hardware shows has to prove itself.
bool MustSettle(Reason reason) {
  switch (reason) {
    case Reason::kGone:
    case Reason::kNoNode:
    case Reason::kNotViable:
    case Reason::kNoAnswer:
    case Reason::kFatalError:
    case Reason::kPower:
    case Reason::kResetFailed:
    case Reason::kSettling:
      return true;
    case Reason::kNone:
    case Reason::kModeChange:
    case Reason::kUnusable:
    case Reason::kOpen:
    case Reason::kUnseen:
    case Reason::kCheckpoint:
    case Reason::kNoCdi:
      return false;
  }
  return false;
}

Listed Judge(const Unit& unit, const Problem& problem, const Listed* before, TimePoint now) {
  Listed listed{unit, problem};
  if (!listed.healthy() || before == nullptr || !MustSettle(before->problem.reason)) return listed;
  listed.since = before->problem.reason == Reason::kSettling ? before->since : now;
  if (now - listed.since < kSettleTime) {
    listed.problem = {Reason::kSettling, "is back, and is offered when it has stayed for a second"};
  }
  return listed;
}

}  // namespace

std::string_view ToString(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "";
    case Reason::kGone:
      return "gone";
    case Reason::kNoNode:
      return "no-node";
    case Reason::kNotViable:
      return "group-not-viable";
    case Reason::kNoAnswer:
      return "no-answer";
    case Reason::kFatalError:
      return "fatal-error";
    case Reason::kPower:
      return "power";
    case Reason::kModeChange:
      return "mode-change";
    case Reason::kUnusable:
      return "unusable";
    case Reason::kOpen:
      return "open";
    case Reason::kUnseen:
      return "unseen";
    case Reason::kResetFailed:
      return "reset-failed";
    case Reason::kCheckpoint:
      return "checkpoint";
    case Reason::kNoCdi:
      return "no-cdi";
    case Reason::kSettling:
      return "settling";
  }
  return "";
}

std::vector<Listed> Relist(const std::vector<Listed>& before, const std::vector<Unit>& present,
                           const std::map<std::string, Problem>& problems, TimePoint now,
                           const std::function<bool(const Unit&)>& keep) {
  std::vector<Listed> after;
  after.reserve(present.size() + before.size());
  for (const Unit& unit : present) {
    const auto problem = problems.find(unit.id);
    const auto earlier = std::ranges::find(
        before, unit.id, [](const Listed& l) -> const auto& { return l.unit.id; });
    after.push_back(Judge(unit, problem == problems.end() ? Problem{} : problem->second,
                          earlier == before.end() ? nullptr : &*earlier, now));
  }
  for (const Listed& listed : before) {
    const bool there = std::ranges::find(present, listed.unit.id, &Unit::id) != present.end();
    if (there || !keep(listed.unit)) continue;
    after.push_back({listed.unit, {Reason::kGone, "is gone or no longer on vfio-pci"}});
  }
  std::ranges::sort(after, ById, &Listed::unit);
  return after;
}

void Withhold(std::vector<Listed>& listed, const std::map<std::string, Problem>& problems) {
  for (Listed& one : listed) {
    for (const pci::Bdf& bdf : one.unit.bdfs) {
      const auto problem = problems.find(bdf.ToString());
      if (one.healthy() && problem != problems.end()) one.problem = problem->second;
    }
  }
}

void HoldBack(std::vector<Listed>& after, const std::vector<Listed>& before,
              const Problem& problem) {
  for (Listed& listed : after) {
    if (listed.healthy() && std::ranges::find(before, listed) == before.end()) {
      listed.problem = problem;
    }
  }
}

}  // namespace gpuhost::sandbox_device_plugin
