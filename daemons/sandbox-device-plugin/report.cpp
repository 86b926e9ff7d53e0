// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/report.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {

service::StatusDocument MakeReport(const std::map<std::string, std::vector<Listed>>& listed,
                                   const absl::StatusOr<Assignments>& assignments,
                                   const std::string& transition) {
  service::StatusDocument report{
      .daemon = "sandbox-device-plugin", .phase = "steady", .transition = transition};
  if (!assignments.ok()) {
    report.reason = "users are not known: " + Text(assignments.status());
  }
  for (const auto& [resource, units] : listed) {
    for (const Listed& one : units) {
      std::vector<std::string> users;
      if (assignments.ok()) {
        const auto found = assignments->find({resource, one.unit.id});
        if (found != assignments->end()) users = found->second;
      }
      for (const pci::Bdf& bdf : one.unit.bdfs) {
        report.devices.push_back({.bdf = bdf.ToString(),
                                  .state = one.healthy() ? "offered" : "withheld",
                                  .error = one.problem,
                                  .users = users});
      }
    }
  }
  std::ranges::sort(report.devices, {}, &service::DeviceStatus::bdf);
  return report;
}

}  // namespace gpuhost::sandbox_device_plugin
