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
  if (input.assignments.ok()) {
    const auto found = input.assignments->find({resource, id});
    if (found != input.assignments->end()) return found->second;
  }
  if (input.just_allocated.contains({resource, id})) return {{"a pod that is being admitted"}};
  return input.assignments.ok() ? Users(std::in_place) : std::nullopt;
}

}  // namespace

service::StatusDocument MakeReport(const ReportInput& input) {
  service::StatusDocument report{
      .daemon = "sandbox-device-plugin", .phase = "steady", .transition = input.transition};
  if (!input.assignments.ok()) {
    report.reason = "users are not known: " + Text(input.assignments.status());
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
