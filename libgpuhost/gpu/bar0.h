// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// Registers by mmap(2) of sysfs `resource0`. With Access::kReadOnly the mapping itself is
// read-only, so a query cannot write the device even by mistake. When the
// kernel takes the mapping away, because a driver has claimed BAR0 since, the device reads as all
// ones and writes are lost: see mapped.h.
//
// Errors of Open: kPermissionDenied under kernel lockdown or without root; kUnavailable when the
// kernel keeps BAR0 for a driver (CONFIG_IO_STRICT_DEVMEM); kNotFound when there is no BAR0.
// Source: Documentation/PCI/sysfs-pci.rst.
class Bar0Source : public RegisterSource {
 public:
  explicit Bar0Source(const HostFs& fs) : fs_(fs) {}
  absl::StatusOr<std::unique_ptr<Registers>> Open(const pci::Device& device,
                                                  Access access) override;

 private:
  const HostFs& fs_;
};

}  // namespace gpuhost::gpu
