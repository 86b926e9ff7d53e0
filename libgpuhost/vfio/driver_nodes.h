// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

struct Disk {
  std::string name;    // "sda1"
  std::string number;  // "8:1"
  std::string path;    // of its directory in sysfs
};

// What an ordinary driver made of a device for programs.
struct DriverNodes {
  std::vector<dev_t> characters;  // numbers of character devices
  std::vector<Disk> disks;        // block devices, partitions too
};

// Everything with a number below the device in sysfs: /dev/dri, /dev/fb, /dev/snd, and whatever
// hangs on its USB function; and, as they stand elsewhere, the nodes of the driver nvidia
// (/dev/nvidia3, /dev/nvidia-caps of its MIG instances) and of nvidia-nvswitch. Which of the latter
// is which switch the driver does not tell, so each counts for all switches that it has.
// Nothing for a device without driver or on VFIO.
// Source: open-gpu-kernel-modules, kernel-open/nvidia/{nv-procfs,nv-caps,linux_nvswitch}.c.
DriverNodes FindDriverNodes(const HostFs& fs, const pci::Device& device);

}  // namespace gpuhost::vfio
