// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

// Reads one function. kNotFound when it is not (or no longer) there, kDataLoss when an attribute
// that every function has (vendor, device, class) does not parse. Reads sysfs text only: a sleeping
// device is not woken.
absl::StatusOr<Device> ReadDevice(const HostFs& fs, const Bdf& bdf);

// All functions of vendor 10de, sorted by address. A function that vanishes during the scan, or
// whose vendor, device or class is unreadable, is left out and never hides another. kNotFound when
// the machine has no PCI bus in sysfs.
absl::StatusOr<std::vector<Device>> ScanNvidia(const HostFs& fs);

// All functions of one IOMMU group, of any vendor, sorted by address; the same leniency.
std::vector<Device> ReadGroup(const HostFs& fs, uint32_t group);

// True when the kernel runs an IOMMU, that is, when it made IOMMU groups.
bool HasIommu(const HostFs& fs);

}  // namespace gpuhost::pci
