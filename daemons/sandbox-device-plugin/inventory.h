// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/naming.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::sandbox_device_plugin {

// How a virtual machine opens a device. The ids of the two come from different numberings, so one
// process offers devices in one way only.
enum class Backend {
  kGroup,  // /dev/vfio/<IOMMU group>, with the container node /dev/vfio/vfio
  kCdev,   // /dev/vfio/devices/vfioN of iommufd; what confidential guests insist on
};

// kCdev where the kernel runs iommufd.
Backend BackendOf(const HostFs& fs);

// The node by which `device` is opened; empty when it has none of that kind.
std::optional<std::string> NodeOf(const pci::Device& device, Backend backend);

// What can be given to one virtual machine: the GPUs (or switches) of one IOMMU group, for the
// kernel lets a group have one owner.
struct Unit {
  std::string id;  // kGroup: number of the group; kCdev: N of vfioN, the lowest of the group
  Backend backend = Backend::kGroup;
  std::vector<pci::Bdf> bdfs;
  std::vector<std::string> nodes;
  std::optional<int> numa_node;  // empty: unknown, or not the same for all of `bdfs`

  bool operator==(const Unit&) const = default;
};

// Order of ids by number.
bool ById(const Unit& left, const Unit& right);

struct Resource {
  std::string name;         // without "nvidia.com/"
  std::vector<Unit> units;  // sorted by id

  bool operator==(const Resource&) const = default;
};

struct LeftOut {
  pci::Bdf bdf;
  std::string reason;  // with the remedy
};

struct Inventory {
  std::vector<Resource> resources;  // sorted by name; each has units
  std::vector<LeftOut> left_out;    // on vfio-pci and yet not usable
};

// GPUs and switches, virtual functions apart. Companions go with their GPU.
bool IsOffered(const pci::Device& device);

// Sorts what is bound to VFIO among `devices` (sorted by address) into resources. Devices of equal
// names are one resource, also when they are different models. A group of a GPU and a switch counts
// as the GPU's.
Inventory BuildInventory(const std::vector<pci::Device>& devices, const Naming& naming,
                         Backend backend);

}  // namespace gpuhost::sandbox_device_plugin
