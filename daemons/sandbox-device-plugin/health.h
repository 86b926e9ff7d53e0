// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/inventory.h"

namespace gpuhost::sandbox_device_plugin {

// A unit as the kubelet is told of it.
struct Listed {
  Unit unit;
  std::string problem;  // empty: Healthy; else why it is Unhealthy

  bool healthy() const { return problem.empty(); }
  bool operator==(const Listed&) const = default;
};

// What is listed after `present` was found. A unit that was listed once stays listed, unhealthy
// while it is away: the kubelet takes one that it no longer hears of for healthy. Sorted by id.
std::vector<Listed> Relist(const std::vector<Listed>& before, const std::vector<Unit>& present);

// Marks as unhealthy, with `reason`, every healthy unit that has one of `devices` (addresses).
void Withhold(std::vector<Listed>& listed, const std::set<std::string>& devices,
              const std::string& reason);

// Marks as unhealthy what `after` has new, compared with `before`, for a reason that keeps it from
// being used. What was offered before stays so.
void HoldBack(std::vector<Listed>& after, const std::vector<Listed>& before,
              const std::string& reason);

}  // namespace gpuhost::sandbox_device_plugin
