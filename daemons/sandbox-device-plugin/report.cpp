// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/report.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using Users = std::optional<std::vector<std::string>>;

Users UsersOf(const ReportInput& input, const std::string& resource, const std::string& id) {
  Users users = input.pods.Users(resource, id);
  if (users && !users->empty()) return users;
  if (input.just_allocated.contains({resource, id})) return {{"a pod that is being admitted"}};
  return users;
}

}  // namespace

service::StatusDocument MakeReport(const ReportInput& input) {
  service::StatusDocument report{
      .daemon = "sandbox-device-plugin", .phase = "steady", .transition = input.transition};
  if (const absl::Status known = input.pods.known(); !known.ok()) {
    report.reason = "users are not known: " + Text(known);
  }
  for (const auto& [resource, units] : input.listed) {
    for (const Listed& one : units) {
      for (const pci::Bdf& bdf : one.unit.bdfs) {
        report.devices.push_back({.bdf = bdf.ToString(),
                                  .state = one.healthy() ? "offered" : "withheld",
                                  .error = one.problem.text,
                                  .users = UsersOf(input, resource, one.unit.id),
                                  .unit = fmt::format("{}={}", resource, one.unit.id)});
      }
    }
  }
  std::ranges::sort(report.devices, {}, &service::DeviceStatus::bdf);
  return report;
}

}  // namespace gpuhost::sandbox_device_plugin
