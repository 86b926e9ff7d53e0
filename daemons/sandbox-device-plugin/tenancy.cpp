// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/tenancy.h"

#include <algorithm>

#include "daemons/common/service/log.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr Duration kResetLimit = std::chrono::seconds(20);

std::string WhoHas(const vfio::Holders& holders, const Unit& unit) {
  for (const pci::Bdf& bdf : unit.bdfs) {
    const auto by = holders.by_device.find(bdf);
    if (by != holders.by_device.end()) return vfio::ToString(by->second);
  }
  return "";
}

absl::Status WhyInUse(const vfio::Holders& holders, const Unit& unit) {
  constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;
  if (const std::string who = WhoHas(holders, unit); !who.empty()) {
    return Error(kRefused, "{} is to be reset before its next user and is open still: {}",
                 fmt::join(unit.bdfs, ", "), who);
  }
  if (holders.complete.ok()) return absl::OkStatus();
  return Error(kRefused,
               "{} is to be reset before its next user, and who has it open cannot be seen: {}",
               fmt::join(unit.bdfs, ", "), Text(holders.complete));
}

}  // namespace

// Looked at once at most, and only when it matters.
class Tenancy::View {
 public:
  View(const Look& look, std::span<const pci::Device> devices) : look_(look), devices_(devices) {}

  const vfio::Holders& holders() {
    if (!found_) found_ = look_(devices_);
    return *found_;
  }

 private:
  const Look& look_;
  const std::span<const pci::Device> devices_;
  std::optional<vfio::Holders> found_;
};

Tenancy::Tenancy(HostFs& fs, Clock& clock, bool reset)
    : Tenancy(fs, clock, reset, [&fs](std::span<const pci::Device> devices) {
        return vfio::FindHolders(fs, devices);
      }) {}

std::map<std::string, Problem> Tenancy::Examine(const std::vector<Tenant>& tenants,
                                                std::span<const pci::Device> devices) {
  const TimePoint now = clock_.Now();
  const bool patrol = !patrolled_ || now - *patrolled_ >= kPatrol;
  if (patrol) patrolled_ = now;
  View view(look_, devices);
  std::map<std::string, Memory> memory;
  std::vector<Unit> dirty;
  for (const Tenant& tenant : tenants) {
    const auto known = memory_.find(tenant.unit.id);
    Memory& mine = memory[tenant.unit.id];
    if (known != memory_.end()) mine = known->second;
    if (Advance(tenant, view, patrol, mine)) dirty.push_back(tenant.unit);
  }
  for (const auto& [id, done] : Reset(dirty, Duration::zero(), now + kResetLimit)) {
    if (done.ok()) {
      memory[id] = {.state = State::kFree};
      SetClean(id, true);
    } else {
      memory[id].problem = {Reason::kResetFailed, Text(done)};
    }
  }
  memory_ = std::move(memory);
  return problems();
}

std::map<std::string, Problem> Tenancy::problems() const {
  std::map<std::string, Problem> problems;
  for (const auto& [id, memory] : memory_) {
    if (memory.problem.reason != Reason::kNone) problems.emplace(id, memory.problem);
  }
  return problems;
}

bool Tenancy::waiting() const {
  return std::ranges::any_of(
      memory_, [](const auto& entry) { return entry.second.problem.reason == Reason::kOpen; });
}

bool Tenancy::HasNews(const std::vector<Tenant>& tenants) const {
  return std::ranges::any_of(tenants, [this](const Tenant& tenant) {
    const auto known = memory_.find(tenant.unit.id);
    return known != memory_.end() && known->second.state == State::kAssigned && !tenant.assigned;
  });
}

bool Tenancy::Advance(const Tenant& tenant, View& view, bool patrol, Memory& memory) {
  if (tenant.assigned) memory = {.state = State::kAssigned};
  if (tenant.assigned || tenant.hands_off) return false;
  const bool was_assigned = memory.state == State::kAssigned;
  const bool idle = memory.problem.reason == Reason::kNone && !was_assigned;
  if (!patrol && (idle || memory.problem.reason == Reason::kResetFailed)) return false;
  if (was_assigned) memory.state = reset_ ? State::kDirty : State::kReleased;

  if (const std::string who = WhoHas(view.holders(), tenant.unit); !who.empty()) {
    SetClean(tenant.unit.id, false);
    memory.unseen_since.reset();
    memory.problem = {
        Reason::kOpen,
        fmt::format("is open although no pod has it: {}; offered when that ends", who)};
    return false;
  }
  if (!view.holders().complete.ok()) {
    Guess(tenant, idle, view.holders().complete, memory);
    return false;
  }
  if (memory.state != State::kDirty) {
    memory = {.state = State::kFree};
    return false;
  }
  if (!tenant.withheld) memory.problem = {Reason::kOpen, "is reset after its last user"};
  return tenant.withheld;
}

void Tenancy::Guess(const Tenant& tenant, bool idle, const absl::Status& blind, Memory& memory) {
  if (reset_) {
    if (IsClean(tenant.unit.id)) return;
    memory.problem = {Reason::kUnseen, fmt::format("is to be reset before its next user, and who "
                                                   "has it open cannot be seen: {}",
                                                   Text(blind))};
    return;
  }
  if (idle) return;  // it had no user since it was offered
  if (!memory.unseen_since) memory.unseen_since = clock_.Now();
  memory.problem = {};
  if (clock_.Now() - *memory.unseen_since >= kGrace) return;
  memory.problem = {Reason::kUnseen,
                    fmt::format("has been released, and who has it open cannot be seen: {}; "
                                "offered after {:.0f} s",
                                Text(blind), Seconds(kGrace))};
}

bool Tenancy::IsClean(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  return clean_.contains(id);
}

void Tenancy::SetClean(const std::string& id, bool clean) {
  const std::lock_guard lock(mutex_);
  if (clean)
    clean_.insert(id);
  else
    clean_.erase(id);
}

absl::Status Tenancy::Prepare(const std::vector<Unit>& units) {
  if (!reset_) return absl::OkStatus();
  const TimePoint deadline = clock_.Now() + kPrepareLimit;
  absl::Status first;
  for (const auto& [id, done] : Reset(units, kPrepareLimit, deadline)) {
    SetClean(id, false);
    if (first.ok()) first = done;
  }
  return first;
}

std::map<std::string, absl::Status> Tenancy::Reset(const std::vector<Unit>& units, Duration wait,
                                                   TimePoint deadline) {
  std::map<std::string, absl::Status> results;
  std::map<pci::Bdf, std::string> order;  // that in which cc-manager locks, too
  for (const Unit& unit : units) {
    if (results[unit.id] = absl::OkStatus(); IsClean(unit.id)) continue;
    for (const pci::Bdf& bdf : unit.bdfs) order.emplace(bdf, unit.id);
  }
  std::vector<FileLock> locks;
  for (const auto& [bdf, id] : order) {
    const Duration left = std::clamp(deadline - clock_.Now(), Duration::zero(), wait);
    auto lock = FileLock::Acquire(fs_, clock_, bdf.ToString(), left);
    if (lock.ok()) locks.push_back(*std::move(lock));
    if (results[id].ok()) results[id] = lock.status();
  }
  ResetLocked(units, deadline, results);
  return results;
}

void Tenancy::ResetLocked(const std::vector<Unit>& units, TimePoint deadline,
                          std::map<std::string, absl::Status>& results) {
  std::vector<pci::Device> devices;
  std::vector<const Unit*> meant;
  for (const Unit& unit : units) {
    if (!results[unit.id].ok() || IsClean(unit.id)) continue;
    meant.push_back(&unit);
    for (const pci::Bdf& bdf : unit.bdfs) {
      auto device = pci::ReadDevice(fs_, bdf);
      if (!device.ok()) results[unit.id] = device.status();
      if (device.ok()) devices.push_back(*std::move(device));
    }
  }
  if (meant.empty()) return;
  const vfio::Holders holders = look_(devices);
  struct Step {
    pci::Bdf bdf;
    absl::Status& result;
    absl::Status done;
  };
  std::vector<Step> steps;
  for (const Unit* unit : meant) {
    absl::Status& result = results[unit->id];
    if (result.ok()) result = WhyInUse(holders, *unit);
    if (!result.ok()) continue;
    for (const pci::Bdf& bdf : unit->bdfs) steps.push_back({bdf, result, {}});
  }
  const Duration left = std::min(kResetLimit, deadline - clock_.Now());
  InParallel(steps.size(), [&](size_t i) { steps[i].done = ResetOne(steps[i].bdf, left); });
  for (const Step& step : steps) {
    if (step.result.ok()) step.result = Annotate(step.done, "reset before the next user");
  }
}

absl::Status Tenancy::ResetOne(const pci::Bdf& bdf, Duration limit) {
  if (limit <= Duration::zero()) {
    return Error(absl::StatusCode::kDeadlineExceeded,
                 "{}: others were changing it for too long; create the pod again", bdf);
  }
  GPUHOST_TRY(fs_.WriteWithin(limit, pci::SysfsPath(bdf, "reset"), "1"));
  service::Log(service::Level::kInfo, "reset between users", {{"bdf", bdf}});
  return absl::OkStatus();
}

}  // namespace gpuhost::sandbox_device_plugin
