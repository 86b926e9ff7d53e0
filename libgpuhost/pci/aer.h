// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::pci {

// How many errors of PCI Express the kernel has counted for one function since it was found; empty
// where it counts none. Source: Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats.
struct AerErrors {
  std::optional<uint64_t> correctable, nonfatal, fatal;
};

// Reads what the kernel remembers, and does not touch the device.
AerErrors ReadAerErrors(const HostFs& fs, const Bdf& bdf);

}  // namespace gpuhost::pci
