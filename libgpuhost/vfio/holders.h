// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

struct Holder {
  int pid = 0;          // 0: the kernel itself
  std::string command;  // /proc/<pid>/comm; of the kernel, what it does with it in words
  std::string pod;      // uid of its Kubernetes pod, as its cgroup's path has it; empty: none
};

// What one look at all processes found.
struct Holders {
  std::map<pci::Bdf, std::vector<Holder>> by_device;  // devices without a holder are not in it
  // OK: whoever is not in `by_device` has no user. Otherwise why some processes could not be looked
  // at and what to do, with the codes of OpenDevices: a device that is not in the map may be in
  // use, and must not be moved or reset.
  absl::Status complete;
};

// The processes that have a device open, by the numbers of its nodes: those of its VFIO group and
// character device, and those of what an ordinary driver made of it, see FindDriverNodes. What a
// file is called does not matter. Besides, mounted disks of a USB function. What other parts of the
// kernel do with a GPU of the driver nvidia is asked when it is to be unbound, see UnbindLock.
//
// One walk over /proc for all devices, of at most `limit` of real time. It sees all processes of
// the machine with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH in the host's PID namespace, and says in
// `complete` where one of them is missing.
Holders FindHolders(const HostFs& fs, std::span<const pci::Device> devices,
                    Duration limit = std::chrono::seconds(10));

// "qemu-system-x86 (pid 4711, pod 8d1c...), cat (pid 12)"; empty for none.
std::string ToString(std::span<const Holder> holders);

}  // namespace gpuhost::vfio
