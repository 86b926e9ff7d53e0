// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::vfio {

// Loads a kernel module by name.
using LoadModule = std::function<absl::Status(const std::string& name)>;

// The host's own /sbin/modprobe, run with `host_root` as its root directory and no environment.
LoadModule HostModprobe(std::string host_root);

// Makes sure that a PCI driver is there to bind to; loads its module if it is not.
// kFailedPrecondition when it is still missing afterwards, with the reason that modprobe gave.
absl::Status EnsureDriver(const HostFs& fs, const std::string& driver, const LoadModule& load);

}  // namespace gpuhost::vfio
