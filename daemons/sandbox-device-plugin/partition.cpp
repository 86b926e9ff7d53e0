// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/partition.h"

#include <algorithm>
#include <functional>

namespace gpuhost::sandbox_device_plugin {
namespace {

using Set = std::set<std::string>;

// The units of which a partition consists; empty where it is not there to the last GPU, or shares
// an IOMMU group with what is not in it.
Set UnitsOf(const Partition& partition, const std::vector<Unit>& units) {
  Set ids;
  size_t found = 0;
  for (const Unit& unit : units) {
    const auto inside = static_cast<size_t>(std::ranges::count_if(unit.bdfs, [&](const auto& bdf) {
      return std::ranges::find(partition, bdf) != partition.end();
    }));
    if (inside == 0) continue;
    if (inside < unit.bdfs.size()) return {};
    found += inside;
    ids.insert(unit.id);
  }
  return found == partition.size() ? ids : Set{};
}

bool Disjoint(const Set& one, const Set& other) {
  return std::ranges::none_of(one, [&](const std::string& id) { return other.contains(id); });
}

// How large the partitions are that stay whole without `taken`, the largest first.
std::vector<size_t> WholeWithout(const Set& taken, const std::vector<Set>& whole) {
  std::vector<size_t> sizes;
  for (const Set& ids : whole) {
    if (Disjoint(ids, taken)) sizes.push_back(ids.size());
  }
  std::ranges::sort(sizes, std::greater<>());
  return sizes;
}

}  // namespace

std::vector<std::string> ChoosePartition(const Partitions& partitions,
                                         const std::vector<Unit>& units,
                                         const std::set<std::string>& allowed,
                                         const std::set<std::string>& required, size_t size) {
  std::vector<Set> whole;
  for (const Partition& partition : partitions) {
    Set ids = UnitsOf(partition, units);
    if (!ids.empty() && std::ranges::includes(allowed, ids)) whole.push_back(std::move(ids));
  }
  const Set* best = nullptr;
  std::vector<size_t> left_by_best;
  for (const Set& ids : whole) {
    if (ids.size() != size || !std::ranges::includes(ids, required)) continue;
    std::vector<size_t> left = WholeWithout(ids, whole);
    if (best != nullptr && left <= left_by_best) continue;
    best = &ids;
    left_by_best = std::move(left);
  }
  return best == nullptr ? std::vector<std::string>()
                         : std::vector<std::string>(best->begin(), best->end());
}

}  // namespace gpuhost::sandbox_device_plugin
