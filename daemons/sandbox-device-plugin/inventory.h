// SPDX-License-Identifier: Apache-2.0
//
// What this machine can give to virtual machines, and what it is called. Pure, and knows neither
// the device plugin API nor CDI's: another face of the kubelet's (Dynamic Resource Allocation) can
// be put on it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/naming.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::sandbox_device_plugin {

// How a virtual machine opens a device.
enum class Backend {
  kGroup,  // /dev/vfio/<IOMMU group>, with the container node /dev/vfio/vfio
  kCdev,   // /dev/vfio/devices/vfioN of iommufd; what confidential guests insist on
};

// What the kernel offers.
struct Kernel {
  bool iommufd = false;        // /dev/iommu is there
  bool shows_devices = false;  // 6.1 and newer: what is registered with VFIO is seen in sysfs
};
Kernel FindKernel(const HostFs& fs);

// The node by which `device` is opened; empty when it has none of that kind.
std::optional<std::string> NodeOf(const pci::Device& device, Backend backend);

// What can be given to one virtual machine: the GPUs (or switches) of one IOMMU group, for the
// kernel lets a group have one owner.
struct Unit {
  std::string id;
  Backend backend = Backend::kGroup;
  std::vector<pci::Bdf> bdfs;  // sorted
  std::vector<std::string> nodes;
  std::optional<int> numa_node;   // empty: unknown, or not the same for all of `bdfs`
  std::vector<pci::Bdf> bridges;  // above the first of `bdfs`, the root port first

  bool operator==(const Unit&) const = default;
};

// Order of ids: numbers by their value and before addresses.
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
  std::vector<LeftOut> left_out;    // on a driver of VFIO's and yet not usable
};

enum class Ids {
  kNumber,   // as NVIDIA's plugin has them: N of vfioN, or the IOMMU group; the lowest of a unit
  kAddress,  // "0000:41:00.0", of the first GPU of the unit
};

struct Rules {
  Naming naming;
  Ids ids = Ids::kNumber;
  bool require_iommufd = false;  // leave out what could be opened by its group alone
  // Whether the kubelet has given away `id` of the resource `name`. A unit that is in use under an
  // id of the other kind keeps that until it is free: under a new id it would be given away twice.
  std::function<bool(const std::string& name, const std::string& id)> in_use =
      [](const std::string&, const std::string&) { return false; };
};

// GPUs and switches, virtual functions apart. Companions go with their GPU.
bool IsOffered(const pci::Device& device);

// Sorts what is bound to VFIO among `devices` (sorted by address) into resources. Devices of equal
// names are one resource, also when they are different models. A group of a GPU and a switch counts
// as the GPU's. No two units have the same id.
Inventory BuildInventory(const std::vector<pci::Device>& devices, const Kernel& kernel,
                         const Rules& rules);

}  // namespace gpuhost::sandbox_device_plugin
