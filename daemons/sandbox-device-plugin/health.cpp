// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/health.h"

#include <algorithm>

namespace gpuhost::sandbox_device_plugin {

std::vector<Listed> Relist(const std::vector<Listed>& before, const std::vector<Unit>& present) {
  std::vector<Listed> after;
  after.reserve(present.size() + before.size());
  for (const Unit& unit : present) after.push_back({unit, ""});
  for (const Listed& listed : before) {
    if (std::ranges::find(present, listed.unit.id, &Unit::id) != present.end()) continue;
    after.push_back({listed.unit, "is gone or no longer on vfio-pci"});
  }
  std::ranges::sort(after, ById, &Listed::unit);
  return after;
}

void Withhold(std::vector<Listed>& listed, const std::set<std::string>& devices,
              const std::string& reason) {
  for (Listed& one : listed) {
    const bool meant = std::ranges::any_of(
        one.unit.bdfs, [&](const pci::Bdf& bdf) { return devices.contains(bdf.ToString()); });
    if (one.healthy() && meant) one.problem = reason;
  }
}

void HoldBack(std::vector<Listed>& after, const std::vector<Listed>& before,
              const std::string& reason) {
  for (Listed& listed : after) {
    if (listed.healthy() && std::ranges::find(before, listed) == before.end()) {
      listed.problem = reason;
    }
  }
}

}  // namespace gpuhost::sandbox_device_plugin
