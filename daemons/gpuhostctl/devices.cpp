// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/devices.h"

#include <algorithm>

#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::gpuhostctl {
namespace {

constexpr std::string_view kPlugin = "sandbox-device-plugin";

}  // namespace

absl::StatusOr<std::string> RenderDevices(const HostFs& fs) {
  const auto document = service::ReadStatusDocument(fs, kPlugin);
  if (absl::IsNotFound(document.status())) {
    return Error(absl::StatusCode::kNotFound, "{} has not run on this node", kPlugin);
  }
  if (!document.ok()) return document.status();
  size_t width = std::string_view("UNIT").size();
  for (const auto& device : document->devices) width = std::max(width, device.unit.size());
  std::string text = fmt::format("{:<12}  {:<{}}  {:<8}  USERS\n", "BDF", "UNIT", width, "STATE");
  for (const auto& device : document->devices) {
    text +=
        fmt::format("{:<12}  {:<{}}  {:<8}  {}\n", device.bdf, device.unit, width, device.state,
                    device.users.empty() ? "-" : fmt::format("{}", fmt::join(device.users, ", ")));
  }
  for (const auto& device : document->devices) {
    if (!device.error.empty()) text += fmt::format("{}: {}\n", device.bdf, device.error);
  }
  if (!document->reason.empty()) text += document->reason + "\n";
  if (!service::IsAlive(fs, kPlugin)) text += fmt::format("{} does not run now\n", kPlugin);
  return text;
}

}  // namespace gpuhost::gpuhostctl
