// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/inventory.h"

#include <algorithm>
#include <map>

namespace gpuhost::sandbox_device_plugin {
namespace {

using Members = std::vector<const pci::Device*>;

std::string WhyLeftOut(const pci::Device& device, Backend backend) {
  if (!device.iommu_group) {
    return "has no IOMMU group; switch the IOMMU on in the firmware (VT-d, AMD-Vi) and on the "
           "kernel command line";
  }
  if (!NodeOf(device, backend)) {
    return "has no /dev/vfio/devices node although iommufd is there; the kernel needs "
           "CONFIG_VFIO_DEVICE_CDEV, or bind the device again";
  }
  return "";
}

Unit MakeUnit(const Members& members, Backend backend) {
  Unit unit{.backend = backend, .numa_node = members.front()->numa_node};
  uint32_t number = UINT32_MAX;
  for (const pci::Device* device : members) {
    number =
        std::min(number, backend == Backend::kCdev ? *device->vfio_cdev : *device->iommu_group);
    unit.bdfs.push_back(device->bdf);
    const std::string node = *NodeOf(*device, backend);
    if (std::ranges::find(unit.nodes, node) == unit.nodes.end()) unit.nodes.push_back(node);
    if (device->numa_node != unit.numa_node) unit.numa_node.reset();
  }
  unit.id = std::to_string(number);
  return unit;
}

// The device after which the unit is named: the first GPU, else the first switch.
const pci::Device& Leader(const Members& members) {
  const auto gpu =
      std::ranges::find(members, pci::Kind::kGpu, [](const pci::Device* d) { return d->kind(); });
  return gpu == members.end() ? *members.front() : **gpu;
}

}  // namespace

Backend BackendOf(const HostFs& fs) {
  // A container that started before the module was loaded may lack the node; sysfs is the host's.
  const bool iommufd = fs.Exists("/dev/iommu") || fs.Exists("/sys/class/misc/iommu");
  return iommufd ? Backend::kCdev : Backend::kGroup;
}

std::optional<std::string> NodeOf(const pci::Device& device, Backend backend) {
  const auto number = backend == Backend::kCdev ? device.vfio_cdev : device.iommu_group;
  if (!number) return std::nullopt;
  return fmt::format("/dev/vfio/{}{}", backend == Backend::kCdev ? "devices/vfio" : "", *number);
}

bool ById(const Unit& left, const Unit& right) {
  if (left.id.size() != right.id.size()) return left.id.size() < right.id.size();
  return left.id < right.id;
}

bool IsOffered(const pci::Device& device) {
  const bool kind = device.kind() == pci::Kind::kGpu || device.kind() == pci::Kind::kNvSwitch;
  return kind && !device.is_virtual_function;
}

Inventory BuildInventory(const std::vector<pci::Device>& devices, const Naming& naming,
                         Backend backend) {
  Inventory inventory;
  std::map<uint32_t, Members> groups;
  for (const pci::Device& device : devices) {
    if (!IsOffered(device) || !device.BoundToVfio()) continue;
    if (std::string reason = WhyLeftOut(device, backend); !reason.empty())
      inventory.left_out.push_back({device.bdf, std::move(reason)});
    else
      groups[*device.iommu_group].push_back(&device);
  }
  std::map<std::string, std::vector<Unit>> resources;
  for (const auto& [group, members] : groups) {
    resources[naming.NameOf(Leader(members))].push_back(MakeUnit(members, backend));
  }
  for (auto& [name, units] : resources) {
    std::ranges::sort(units, ById);
    inventory.resources.push_back({name, std::move(units)});
  }
  return inventory;
}

}  // namespace gpuhost::sandbox_device_plugin
