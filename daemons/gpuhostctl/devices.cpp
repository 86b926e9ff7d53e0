// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/devices.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"
#include "daemons/gpuhostctl/columns.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::gpuhostctl {
namespace {

constexpr std::string_view kPlugin = "sandbox-device-plugin";

std::string UsersOf(const service::DeviceStatus& device) {
  if (!device.users) return "unknown";
  return device.users->empty() ? "-" : fmt::format("{}", fmt::join(*device.users, ", "));
}

std::string Table(const service::StatusDocument& document, bool running) {
  std::vector<std::vector<std::string>> lines{{"BDF", "UNIT", "STATE", "USERS"}};
  for (const auto& device : document.devices) {
    lines.push_back({device.bdf, device.unit, device.state, UsersOf(device)});
  }
  std::string text = Columns(lines);
  for (const auto& device : document.devices) {
    if (!device.error.empty()) text += fmt::format("{}: {}\n", device.bdf, device.error);
  }
  if (!document.reason.empty()) text += document.reason + "\n";
  if (!running) text += fmt::format("{} does not run now\n", kPlugin);
  return text;
}

std::string Json(const service::StatusDocument& document, bool running) {
  using nlohmann::ordered_json;
  ordered_json devices = ordered_json::array();
  for (const auto& device : document.devices) {
    const ordered_json users = device.users ? ordered_json(*device.users) : ordered_json();
    devices.push_back({{"bdf", device.bdf},
                       {"unit", device.unit},
                       {"state", device.state},
                       {"users", users},
                       {"error", device.error}});
  }
  const ordered_json json{
      {"schema", 1}, {"running", running}, {"reason", document.reason}, {"devices", devices}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::StatusOr<std::string> RenderDevices(const HostFs& fs, bool json) {
  const auto document = service::ReadStatusDocument(fs, kPlugin);
  if (absl::IsNotFound(document.status())) {
    return Error(absl::StatusCode::kNotFound, "{} has not run on this node", kPlugin);
  }
  if (!document.ok()) return document.status();
  const bool running = service::IsAlive(fs, kPlugin);
  return json ? Json(*document, running) : Table(*document, running);
}

}  // namespace gpuhost::gpuhostctl
