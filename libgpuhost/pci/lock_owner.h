// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

// For whom the kernel keeps a function locked, in words: "process 812 (bash), which writes to
// /sys/bus/pci/drivers/vfio-pci/unbind". The kernel does not tell, so these are the processes that
// sleep uninterruptibly with such a file open, or the holder of our lock of the device. For texts:
// nothing may be decided by it.
std::string WhoLocks(const HostFs& fs, const Device& device);

}  // namespace gpuhost::pci
