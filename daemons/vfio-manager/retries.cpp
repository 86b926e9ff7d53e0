// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/retries.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

// All that a plan rests on and a try may fail over, without what differs from look to look (words
// of errors, numbers of processes).
std::string StateOf(const vfio::Unit& unit) {
  std::string text;
  for (const pci::Device& device : unit.functions) {
    text += fmt::format("{} {} {} {}\n", device.bdf, device.driver.value_or("-"),
                        device.iommu_group ? fmt::format("{}", *device.iommu_group) : "-",
                        device.guarded.ok() ? device.guarded->driver_override.value_or("-") : "?");
  }
  for (const vfio::Step& step : unit.steps) text += ToString(step) + "\n";
  for (const vfio::Blocker& blocker : unit.blockers) {
    text += fmt::format("{} {}\n", blocker.bdf, ToString(blocker.obstacle));
  }
  return text;
}

}  // namespace

std::optional<absl::Status> Retries::Held(const vfio::Unit& unit, TimePoint now) {
  const auto found = entries_.find(unit.leads.front());
  if (found == entries_.end() || !found->second.left) return std::nullopt;
  Entry& entry = found->second;
  if (now >= entry.due) {
    entry.changes = 0;
    return std::nullopt;
  }
  if (*entry.left != StateOf(unit) && entry.changes < kMostChanges) {
    ++entry.changes;
    return std::nullopt;
  }
  return entry.error;
}

void Retries::Tried(const vfio::Unit& unit, const absl::Status& error, TimePoint now) {
  Entry& entry = entries_[unit.leads.front()];
  // Who is changing it, or has changed it meanwhile, is no reason to wait, and nothing was written.
  const bool written = !absl::IsUnavailable(error) && !absl::IsAborted(error);
  entry.left = written ? std::optional(StateOf(unit)) : std::nullopt;
  entry.error = error;
  Delay(entry, now);
}

void Retries::Blocked(const vfio::Unit& unit, TimePoint now) {
  const auto [found, is_new] = entries_.try_emplace(unit.leads.front());
  if (is_new || now >= found->second.due) Delay(found->second, now);
}

void Retries::Delay(Entry& entry, TimePoint now) {
  entry.delay = entry.delay == Duration::zero() ? kFirst : std::min(2 * entry.delay, kMost);
  entry.due = now + entry.delay;
}

void Retries::Keep(const std::set<pci::Bdf>& leads) {
  std::erase_if(entries_, [&](const auto& entry) { return !leads.contains(entry.first); });
}

Duration Retries::Pause(TimePoint now) const {
  Duration pause = kMost;
  for (const auto& [lead, entry] : entries_) pause = std::min(pause, entry.due - now);
  return std::max(pause, Duration::zero());
}

}  // namespace gpuhost::vfio_manager
