// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/units.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace gpuhost::vfio {
namespace {

bool SameSlot(const pci::Device& a, const pci::Device& b) {
  const auto slot = [](const pci::Bdf& bdf) { return std::tuple(bdf.domain, bdf.bus, bdf.device); };
  return slot(a.bdf) == slot(b.bdf) && !a.is_virtual_function && !b.is_virtual_function;
}

bool DependsOn(const pci::Device& a, const pci::Device& b) {
  return std::ranges::find(b.consumers, a.bdf) != b.consumers.end();
}

bool SameGroup(const pci::Device& a, const pci::Device& b) {
  return a.iommu_group && a.iommu_group == b.iommu_group;
}

bool BelongTogether(const pci::Device& a, const pci::Device& b) {
  return SameSlot(a, b) || SameGroup(a, b) || DependsOn(a, b) || DependsOn(b, a);
}

bool IsCompanion(const pci::Device& device) { return device.kind() == pci::Kind::kCompanion; }

bool Contains(const std::vector<pci::Device>& devices, const pci::Bdf& bdf) {
  return std::ranges::find(devices, bdf, &pci::Device::bdf) != devices.end();
}

std::vector<pci::Device> StrangersOf(const Snapshot& seen,
                                     const std::vector<pci::Device>& functions) {
  std::set<uint32_t> groups;
  for (const pci::Device& device : functions) {
    if (device.iommu_group) groups.insert(*device.iommu_group);
  }
  std::vector<pci::Device> strangers;
  for (const uint32_t group : groups) {
    const auto found = seen.groups.find(group);
    if (found == seen.groups.end()) continue;
    std::ranges::copy_if(
        found->second.members, std::back_inserter(strangers),
        [&](const pci::Device& device) { return !Contains(functions, device.bdf); });
  }
  return strangers;
}

}  // namespace

std::vector<Cluster> FindClusters(const Snapshot& seen, const std::vector<pci::Device>& leads,
                                  const std::function<bool(const pci::Device&)>& may_take) {
  std::vector<Cluster> clusters;
  for (const pci::Device& lead : leads) {
    const bool known = std::ranges::any_of(
        clusters, [&](const Cluster& cluster) { return Contains(cluster.functions, lead.bdf); });
    if (known) continue;
    std::vector<pci::Device> functions{lead};
    for (size_t i = 0; i < functions.size(); ++i) {
      for (const pci::Device& device : seen.devices) {
        if (Contains(functions, device.bdf) || device.IsBridge() || !may_take(device)) continue;
        if (BelongTogether(functions[i], device)) functions.push_back(device);
      }
    }
    std::ranges::sort(functions, {}, [](const pci::Device& device) {
      return std::pair(!IsCompanion(device), device.bdf);
    });
    Cluster cluster{.functions = functions, .strangers = StrangersOf(seen, functions)};
    std::ranges::copy_if(leads, std::back_inserter(cluster.leads), [&](const pci::Device& device) {
      return Contains(functions, device.bdf);
    });
    clusters.push_back(std::move(cluster));
  }
  return clusters;
}

}  // namespace gpuhost::vfio
