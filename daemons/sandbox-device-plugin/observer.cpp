// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/observer.h"

#include <algorithm>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::sandbox_device_plugin {

absl::StatusOr<Observation> Observer::Observe(const Rules& rules,
                                              const std::set<std::string>& withdrawn) {
  Observation seen;
  GPUHOST_ASSIGN(seen.devices, pci::ScanNvidia(fs_));
  std::erase_if(seen.devices, [](const pci::Device& device) { return !IsOffered(device); });
  seen.inventory = BuildInventory(seen.devices, FindKernel(fs_), rules);

  std::vector<pci::Device> bound;
  for (const Resource& resource : seen.inventory.resources) {
    for (const Unit& unit : resource.units) {
      for (const pci::Bdf& bdf : unit.bdfs) {
        const auto device = std::ranges::find(seen.devices, bdf, &pci::Device::bdf);
        bound.push_back(*device);
        Problem problem = probe_.Examine(fs_, *device, unit.backend, clock_.Now(),
                                         withdrawn.contains(bdf.ToString()));
        if (problem.reason != Reason::kNone) seen.problems.emplace(unit.id, std::move(problem));
      }
    }
  }
  probe_.Retain(bound);
  return seen;
}

}  // namespace gpuhost::sandbox_device_plugin
