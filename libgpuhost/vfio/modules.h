// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <string>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/request.h"

namespace gpuhost::vfio {

// Loads a kernel module by name.
using LoadModule = std::function<absl::Status(const std::string& name)>;

// The host's own /sbin/modprobe, run with `host_root` as its root directory and no environment.
LoadModule HostModprobe(std::string host_root);

// The PCI driver of a module: as the kernel tells it (/sys/module/<module>/drivers), or while the
// module is not loaded, the module's own name, with dashes where it is the generic one.
std::string DriverOf(const HostFs& fs, const std::string& module);

// Makes sure that the PCI driver of `module` is there to bind to; loads the module if it is not.
// kFailedPrecondition when it is still missing afterwards, with what modprobe said and why.
absl::Status EnsureDriver(const HostFs& fs, const std::string& module, const LoadModule& load);

// Makes sure that the kernel can map a guest's memory for a device, by what `backend` says. With
// kAuto iommufd is loaded only where vfio_iommu_type1 is not to be had: with it come other nodes
// for all devices. What modprobe says is not believed before /sys/module shows it.
// kFailedPrecondition when it is not to be had.
absl::Status EnsureBackend(const HostFs& fs, Backend backend, const LoadModule& load);

}  // namespace gpuhost::vfio
