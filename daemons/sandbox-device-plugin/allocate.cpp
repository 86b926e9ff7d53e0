// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/allocate.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr std::string_view kContainerNode = "/dev/vfio/vfio";
constexpr size_t kShownOfId = 64;

// An id that came from outside, for a text that goes into the events of a pod: those are UTF-8.
std::string Shown(std::string_view id) {
  std::string shown;
  for (const char c : id.substr(0, kShownOfId)) shown += c >= ' ' && c <= '~' ? c : '?';
  return shown;
}

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

absl::StatusOr<const Listed*> Find(const std::vector<Listed>& listed, const std::string& id) {
  const auto found = std::ranges::find(
      listed, id, [](const Listed& l) -> const auto& { return l.unit.id; });
  if (found != listed.end()) return &*found;
  return Error(absl::StatusCode::kInvalidArgument, "device '{}' is not one of this resource",
               Shown(id));
}

absl::Status CheckCount(const std::vector<Listed>& listed, const std::vector<std::string>& ids) {
  if (ids.size() <= listed.size()) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "{} devices are asked for, {} are listed",
               ids.size(), listed.size());
}

}  // namespace

absl::StatusOr<Allocation> Allocate(const std::vector<Listed>& listed,
                                    const std::vector<std::string>& ids, const FindDevice& find) {
  Allocation allocation;
  const auto add = [&nodes = allocation.nodes](std::string_view node) {
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.emplace_back(node);
  };
  GPUHOST_TRY(CheckCount(listed, ids));
  for (const std::string& id : ids) {
    GPUHOST_ASSIGN(const Listed* found, Find(listed, id));
    if (!found->healthy()) {
      return Error(absl::StatusCode::kFailedPrecondition, "device '{}' ({}): {}", id,
                   fmt::join(found->unit.bdfs, ", "), found->problem.text);
    }
    for (const pci::Bdf& bdf : found->unit.bdfs) {
      GPUHOST_TRY(Check(found->unit, bdf, find));
      allocation.bdfs.push_back(bdf);
    }
    allocation.units.push_back(found->unit);
    if (found->unit.backend == Backend::kGroup) add(kContainerNode);
    for (const std::string& node : found->unit.nodes) add(node);
  }
  return allocation;
}

absl::Status CheckStart(const std::vector<Listed>& listed, const std::vector<std::string>& ids,
                        const FindDevice& find) {
  GPUHOST_TRY(CheckCount(listed, ids));
  for (const std::string& id : ids) {
    GPUHOST_ASSIGN(const Listed* found, Find(listed, id));
    if (found->problem.reason == Reason::kCheckpoint) {
      return Error(absl::StatusCode::kFailedPrecondition, "device '{}': {}", id,
                   found->problem.text);
    }
    for (const pci::Bdf& bdf : found->unit.bdfs) GPUHOST_TRY(Check(found->unit, bdf, find));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::sandbox_device_plugin
