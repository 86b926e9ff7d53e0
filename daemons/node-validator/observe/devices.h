// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/host.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::node_validator {

// A bridge between a device and the processor.
struct Bridge {
  pci::Bdf bdf;
  bool acs_known = false;               // its extended configuration space could be read
  std::optional<uint16_t> acs_control;  // empty: it has no such capability
};

// A GPU or NVSwitch and what the node says of it.
struct GpuFacts {
  pci::Device device;
  std::string model;
  bool answers = true;                  // its configuration space is not all ones
  std::string group_type;               // of its IOMMU group: "DMA-FQ", "identity"
  std::string group_name;               // "vfio-noiommu" where VFIO runs without IOMMU
  std::vector<pci::Device> neighbours;  // others in its IOMMU group
  std::vector<Bridge> bridges;          // the root port first
  std::optional<uint64_t> memory_bar;   // size of BAR1, 0: not assigned; empty: not read
  bool resizable = false;
  std::string speed, max_speed, width, max_width;
  std::string node;  // how a confidential guest opens it: "/dev/vfio/devices/vfio0"; empty: not
  absl::Status node_present;  // and its numbers are those that sysfs tells
  Known<std::string> mode = absl::UnavailableError("not asked");
  std::string mode_source;  // where `mode` is from
  std::string pending;      // the mode that the next reset brings; empty: unknown
};

struct Devices {
  Known<std::vector<pci::Device>> scanned = absl::UnavailableError("not read");
  std::vector<GpuFacts> gpus;       // switches too, by address
  size_t groups = 0;                // IOMMU groups of the machine
  std::vector<std::string> iommus;  // "ivhd0", "dmar1"
  DeviceNode iommufd;
  Known<std::string> noiommu_mode = absl::UnavailableError("not read");
  bool noiommu_nodes = false;
  std::optional<uint64_t> dma_entry_limit;
  std::string wanted_mode;  // by cc-manager; empty: it never ran
  std::string manager_phase, manager_reason;
};

Devices ObserveDevices(const Tree& tree, Questions& questions);

}  // namespace gpuhost::node_validator
