// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

// For whom the kernel keeps a function locked, in words: "process 812 (bash), which writes to
// /sys/bus/pci/drivers/vfio-pci/unbind". The kernel does not tell, so this is a process that has
// such a file open for writing, which lasts for the moment of a write only, or the holder of our
// lock of the device. Its state says nothing: VFIO waits for a user's end interruptibly until the
// first signal comes. For texts: nothing may be decided by it.
std::string WhoLocks(const HostFs& fs, const Device& device);

}  // namespace gpuhost::pci
