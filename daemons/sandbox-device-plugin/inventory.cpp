// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/inventory.h"

#include <algorithm>
#include <map>
#include <set>

namespace gpuhost::sandbox_device_plugin {
namespace {

using Members = std::vector<const pci::Device*>;

std::string WhyLeftOut(const pci::Device& device, const Kernel& kernel) {
  if (!device.iommu_group) {
    return "has no IOMMU group; switch the IOMMU on in the firmware (VT-d, AMD-Vi) and on the "
           "kernel command line";
  }
  // The driver link is there before the driver has registered the device.
  if (kernel.shows_devices && !device.vfio_device) {
    return "is being bound, or its driver did not register it with VFIO; if it stays so, bind it "
           "again";
  }
  return "";
}

// One way for all of a unit: a virtual machine that were given two would find it attached already.
Backend BackendOf(const Members& members, const Kernel& kernel) {
  const bool cdevs = std::ranges::all_of(
      members, [](const pci::Device* device) { return device->vfio_cdev.has_value(); });
  return kernel.iommufd && cdevs ? Backend::kCdev : Backend::kGroup;
}

// The device after which the unit is named: the first GPU, else the first switch.
const pci::Device& Leader(const Members& members) {
  const auto gpu =
      std::ranges::find(members, pci::Kind::kGpu, [](const pci::Device* d) { return d->kind(); });
  return gpu == members.end() ? *members.front() : **gpu;
}

std::string NumberOf(const Members& members, Backend backend) {
  uint32_t number = UINT32_MAX;
  for (const pci::Device* device : members) {
    number =
        std::min(number, backend == Backend::kCdev ? *device->vfio_cdev : *device->iommu_group);
  }
  return std::to_string(number);
}

Unit MakeUnit(const Members& members, Backend backend) {
  const pci::Device& first = *members.front();
  Unit unit{.backend = backend, .numa_node = first.numa_node, .bridges = first.bridges};
  for (const pci::Device* device : members) {
    unit.bdfs.push_back(device->bdf);
    const std::string node = *NodeOf(*device, backend);
    if (std::ranges::find(unit.nodes, node) == unit.nodes.end()) unit.nodes.push_back(node);
    if (device->numa_node != unit.numa_node) unit.numa_node.reset();
  }
  return unit;
}

std::string ChooseId(const Rules& rules, const std::string& name, const std::string& number,
                     const std::string& address) {
  const bool by_address = rules.ids == Ids::kAddress;
  const std::string& wanted = by_address ? address : number;
  const std::string& other = by_address ? number : address;
  return rules.in_use(name, other) && !rules.in_use(name, wanted) ? other : wanted;
}

}  // namespace

Kernel FindKernel(const HostFs& fs) {
  // A container that started before the module was loaded may lack the node; sysfs is the host's.
  return {.iommufd = fs.Exists("/dev/iommu") || fs.Exists("/sys/class/misc/iommu"),
          .shows_devices = fs.Exists("/sys/class/vfio-dev")};
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

Inventory BuildInventory(const std::vector<pci::Device>& devices, const Kernel& kernel,
                         const Rules& rules) {
  Inventory inventory;
  const auto leave_out = [&](const Members& members, const std::string& reason) {
    for (const pci::Device* device : members) inventory.left_out.push_back({device->bdf, reason});
  };
  std::map<uint32_t, Members> groups;
  for (const pci::Device& device : devices) {
    if (!IsOffered(device) || !device.BoundToVfio() || rules.naming.Excludes(device)) continue;
    if (std::string reason = WhyLeftOut(device, kernel); !reason.empty())
      leave_out({&device}, reason);
    else
      groups[*device.iommu_group].push_back(&device);
  }
  std::map<std::string, std::vector<Unit>> resources;
  std::set<std::string> ids;
  // Units with character devices choose first: their numbers are from another series than groups'.
  for (const Backend backend : {Backend::kCdev, Backend::kGroup}) {
    for (const auto& [group, members] : groups) {
      if (BackendOf(members, kernel) != backend) continue;
      if (backend == Backend::kGroup && rules.require_iommufd) {
        leave_out(members,
                  "has no character device for iommufd, which --require-iommufd asks for; "
                  "the kernel needs CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV");
        continue;
      }
      const std::string name = rules.naming.NameOf(Leader(members));
      Unit unit = MakeUnit(members, backend);
      unit.id = ChooseId(rules, name, NumberOf(members, backend), Leader(members).bdf.ToString());
      if (ids.insert(unit.id).second) {
        resources[name].push_back(std::move(unit));
        continue;
      }
      leave_out(members, fmt::format("would be device {} like another, for some devices have a "
                                     "character device and some have none; take --ids address",
                                     unit.id));
    }
  }
  for (auto& [name, units] : resources) {
    std::ranges::sort(units, ById);
    inventory.resources.push_back({name, std::move(units)});
  }
  return inventory;
}

}  // namespace gpuhost::sandbox_device_plugin
