// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/allocate.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr std::string_view kContainerNode = "/dev/vfio/vfio";
constexpr size_t kShownOfId = 64;

absl::Status Check(const Unit& unit, const pci::Bdf& bdf, const FindDevice& find) {
  constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;
  const auto device = find(bdf);
  if (!device.ok()) return Error(kRefused, "{} is not there: {}", bdf, Text(device.status()));
  if (!device->BoundToVfio()) {
    return Error(kRefused, "{} has {}, not vfio-pci; bind it with vfio-manage bind --device-id {}",
                 bdf, device->driver ? "driver " + *device->driver : "no driver", bdf);
  }
  const auto node = NodeOf(*device, unit.backend);
  if (!node || std::ranges::find(unit.nodes, *node) == unit.nodes.end()) {
    return Error(kRefused, "{} was bound again and is now {}; create the pod again", bdf,
                 node.value_or("without a device node"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Allocate(const std::vector<Listed>& listed,
                                                  const std::vector<std::string>& ids,
                                                  const FindDevice& find) {
  std::vector<std::string> nodes;
  const auto add = [&nodes](std::string_view node) {
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.emplace_back(node);
  };
  if (ids.size() > listed.size()) {
    return Error(absl::StatusCode::kInvalidArgument, "{} devices are asked for, {} are listed",
                 ids.size(), listed.size());
  }
  for (const std::string& id : ids) {
    const auto found = std::ranges::find(
        listed, id, [](const Listed& l) -> const auto& { return l.unit.id; });
    if (found == listed.end()) {
      return Error(absl::StatusCode::kInvalidArgument, "device '{}' is not one of this resource",
                   id.substr(0, kShownOfId));
    }
    if (!found->healthy()) {
      return Error(absl::StatusCode::kFailedPrecondition, "device '{}' ({}) {}", id,
                   fmt::join(found->unit.bdfs, ", "), found->problem);
    }
    for (const pci::Bdf& bdf : found->unit.bdfs) GPUHOST_TRY(Check(found->unit, bdf, find));
    if (found->unit.backend == Backend::kGroup) add(kContainerNode);
    for (const std::string& node : found->unit.nodes) add(node);
  }
  return nodes;
}

}  // namespace gpuhost::sandbox_device_plugin
