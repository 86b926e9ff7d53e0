// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"
#include "libgpuhost/vfio/holders.h"
#include "libgpuhost/vfio/record.h"

namespace gpuhost::vfio {

struct Group {
  std::string name;  // "vfio-noiommu" where there is no IOMMU behind it; else mostly empty
  std::vector<pci::Device> members;
};

struct Driver {
  std::string name;    // as below /sys/bus/pci/drivers
  std::string module;  // that brings it
};

// All that a plan depends on, at one moment.
struct Snapshot {
  std::vector<pci::Device> devices;  // all NVIDIA functions
  std::map<uint32_t, Group> groups;  // the IOMMU groups that they are in
  Holders holders;
  // Which fits each NVIDIA function best. One that a function has already is believed to know it
  // better than the generic one, which stands in where aliases are missing.
  std::map<pci::Bdf, Driver> vfio_drivers;
  absl::Status aliases;           // OK: it is known which functions have a VFIO driver of their own
  std::string kernel;             // its release; empty: unknown
  bool shows_console = false;     // a frame buffer is there, so boot_vga is somebody's screen
  std::set<std::string> drivers;  // PCI drivers that are there now
  std::map<pci::Bdf, Record> records;
};

// Reads only, and waits for nobody for longer than a second. kNotFound when the machine has no PCI
// bus or no NVIDIA device.
absl::StatusOr<Snapshot> Observe(const HostFs& fs);

}  // namespace gpuhost::vfio
