// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

// Reads one function. kNotFound when it is not (or no longer) there, kDataLoss when an attribute
// that every function has (vendor, device, class) does not parse. Reads sysfs text only: a sleeping
// device is not woken. Waits for nobody: nothing is read that the kernel shows under the function's
// lock, which an unbind holds for as long as a virtual machine has the function open, nor what it
// shows while configuration space is not blocked alone, as a reset blocks it.
//
// Attributes of the first kind (device_lock): driver_override (6.1; no longer in 6.12.117),
// sriov_numvfs, sriov_vf_total_msix, uevent (6.1.192; not in 6.12), waiting_for_supplier; writes to
// bind, unbind, reset, remove, enable, sriov_numvfs. Of the second (pci_cfg_access_lock): config,
// vpd. config, vpd, resourceN_resize, and from 6.12 current_link_* and the bus numbers of bridges
// also wake the bridge above, and a function in D3cold; writes to d3cold_allowed wake the function.
// Source: Linux 6.1.192 and 6.12.117, drivers/pci/{pci-sysfs,iov,access,vpd}.c,
// drivers/base/{core,bus}.c.
absl::StatusOr<Device> ReadDevice(const HostFs& fs, const Bdf& bdf);

// What ReadDevice leaves out and a bind needs, asked by a child process. kUnavailable when the
// function is locked for longer than `limit`; the text says by whom, as far as that can be told.
absl::StatusOr<Guarded> ReadGuarded(const HostFs& fs, const Device& device, Duration limit);

// All functions of vendor 10de, sorted by address. A function that vanishes during the scan, or
// whose vendor, device or class is unreadable, is left out and never hides another. kNotFound when
// the machine has no PCI bus in sysfs.
absl::StatusOr<std::vector<Device>> ScanNvidia(const HostFs& fs);

// All functions of one IOMMU group, of any vendor, sorted by address; the same leniency.
std::vector<Device> ReadGroup(const HostFs& fs, uint32_t group);

// True when the kernel runs an IOMMU, that is, when it made IOMMU groups.
bool HasIommu(const HostFs& fs);

}  // namespace gpuhost::pci
