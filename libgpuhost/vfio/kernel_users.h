// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/driver_nodes.h"

namespace gpuhost::vfio {

// What the kernel itself does with disks, where no process need have them open: "disk sda1, mounted
// on /mnt". Seen are the mounts of process 1, swap, and devices that stand on a disk (LVM, RAID,
// encryption).
std::vector<std::string> UsesOf(const HostFs& fs, std::span<const Disk> disks);

// The modules that keep a GPU for themselves in the kernel where nvidia has it, of those that are
// loaded: "nvidia_drm, nvidia_peermem"; empty for none.
std::string ModulesOnNvidia(const HostFs& fs);

}  // namespace gpuhost::vfio
