// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

struct Holder {
  int pid = 0;
  std::string command;  // /proc/<pid>/comm
  std::string pod;      // uid of its Kubernetes pod, as its cgroup's path has it; empty: none
};

// The processes that have a device open: its VFIO group or character device, /dev/nvidia<minor>
// when the nvidia driver holds it, and what another driver made of it (/dev/dri, /dev/snd). One
// walk over /proc/*/fd for all devices; reading other users' processes needs CAP_SYS_PTRACE, and
// processes of other PID namespaces are only seen from the host's. Devices without holders are not
// in the map.
std::map<pci::Bdf, std::vector<Holder>> FindHolders(const HostFs& fs,
                                                    std::span<const pci::Device> devices);

// "qemu-system-x86 (pid 4711, pod 8d1c...), cat (pid 12)"; empty for none.
std::string ToString(std::span<const Holder> holders);

}  // namespace gpuhost::vfio
