// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/tenancy.h"

#include <algorithm>
#include <optional>

#include "daemons/common/service/log.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr Duration kResetLimit = std::chrono::seconds(20);

}  // namespace

std::map<std::string, Problem> Tenancy::Examine(const std::vector<Tenant>& tenants,
                                                std::span<const pci::Device> devices) {
  const TimePoint now = clock_.Now();
  const bool patrol = !patrolled_ || now - *patrolled_ >= kPatrol;
  if (patrol) patrolled_ = now;
  // All processes are walked over once at most, and only when it matters.
  std::optional<std::map<pci::Bdf, std::vector<vfio::Holder>>> found;
  const Holders holders = [&](const Unit& unit) -> std::string {
    if (!found) found = vfio::FindHolders(fs_, devices).by_device;
    for (const pci::Bdf& bdf : unit.bdfs) {
      const auto by = found->find(bdf);
      if (by != found->end()) return vfio::ToString(by->second);
    }
    return "";
  };
  waiting_ = false;
  std::map<std::string, Problem> problems;
  std::map<std::string, Memory> memory;
  for (const Tenant& tenant : tenants) {
    const auto known = memory_.find(tenant.unit.id);
    Memory& mine = memory[tenant.unit.id];
    if (known != memory_.end()) mine = known->second;
    Advance(tenant, holders, patrol, mine);
    if (mine.problem.reason != Reason::kNone) problems.emplace(tenant.unit.id, mine.problem);
    waiting_ = waiting_ || mine.problem.reason == Reason::kOpen;
  }
  memory_ = std::move(memory);
  return problems;
}

bool Tenancy::HasNews(const std::vector<Tenant>& tenants) const {
  return std::ranges::any_of(tenants, [this](const Tenant& tenant) {
    const auto known = memory_.find(tenant.unit.id);
    return known != memory_.end() && known->second.state == State::kAssigned && !tenant.assigned;
  });
}

void Tenancy::Advance(const Tenant& tenant, const Holders& holders, bool patrol, Memory& memory) {
  const bool was_assigned = memory.state == State::kAssigned;
  if (tenant.assigned || tenant.hands_off) {
    if (tenant.assigned) memory = {State::kAssigned, {}};
    return;
  }
  const bool settled = memory.state == State::kFree || memory.state == State::kUnknown;
  if (settled && memory.problem.reason == Reason::kNone && !patrol) return;
  if (memory.problem.reason == Reason::kResetFailed && !patrol) return;
  if (was_assigned) memory.state = reset_ ? State::kDirty : State::kReleased;

  if (const std::string who = holders(tenant.unit); !who.empty()) {
    const std::lock_guard lock(resetting_);
    clean_.erase(tenant.unit.id);
    memory.problem = {
        Reason::kOpen,
        fmt::format("is open although no pod has it: {}; offered when that ends", who)};
    return;
  }
  if (memory.state != State::kDirty) {
    memory = {State::kFree, {}};
    return;
  }
  if (!tenant.withheld) {
    memory.problem = {Reason::kOpen, "is reset after its last user"};
    return;
  }
  const std::lock_guard lock(resetting_);
  const absl::Status done = Reset(tenant.unit);
  if (done.ok()) {
    clean_.insert(tenant.unit.id);
    memory = {State::kFree, {}};
    return;
  }
  memory.problem = {Reason::kResetFailed, Text(done)};
}

absl::Status Tenancy::Prepare(const Unit& unit) {
  if (!reset_) return absl::OkStatus();
  const std::lock_guard lock(resetting_);
  if (clean_.erase(unit.id) > 0) return absl::OkStatus();
  std::vector<pci::Device> devices;
  for (const pci::Bdf& bdf : unit.bdfs) {
    GPUHOST_ASSIGN(devices.emplace_back(), pci::ReadDevice(fs_, bdf));
  }
  const vfio::Holders found = vfio::FindHolders(fs_, devices);
  for (const auto& [bdf, holders] : found.by_device) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is to be reset before its next user and is open still: {}", bdf,
                 vfio::ToString(holders));
  }
  return Annotate(Reset(unit), "reset before the next user");
}

absl::Status Tenancy::Reset(const Unit& unit) {
  for (const pci::Bdf& bdf : unit.bdfs) {
    GPUHOST_ASSIGN(const auto lock, FileLock::Acquire(fs_, clock_, bdf.ToString(), {}));
    GPUHOST_TRY(fs_.WriteWithin(kResetLimit, pci::SysfsPath(bdf, "reset"), "1"));
    service::Log(service::Level::kInfo, "reset between users", {{"bdf", bdf}});
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::sandbox_device_plugin
