// SPDX-License-Identifier: Apache-2.0
//
// The only way to the registers of a GPU.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::gpu {

// BAR0 of one device: aligned 32-bit accesses at byte offsets. A device that is off the bus, asleep
// or not decoding memory reads as all ones; that is a value here, not an error.
class Registers {
 public:
  virtual ~Registers() = default;
  // kOutOfRange beyond the mapped window or unaligned.
  virtual absl::StatusOr<uint32_t> Read32(uint32_t offset) = 0;
  // kPermissionDenied when opened for reading only.
  virtual absl::Status Write32(uint32_t offset, uint32_t value) = 0;
};

enum class Access { kReadOnly, kReadWrite };

// Opens the registers of devices: Bar0Source on a machine, the virtual GPU in tests. kUnavailable
// while somebody who uses the device has them to himself; kPermissionDenied under kernel lockdown.
class RegisterSource {
 public:
  virtual ~RegisterSource() = default;
  virtual absl::StatusOr<std::unique_ptr<Registers>> Open(const pci::Device& device,
                                                          Access access) = 0;
};

// All that gpu and cc touch of the world.
struct Host {
  HostFs& fs;
  Clock& clock;
  RegisterSource& registers;
};

}  // namespace gpuhost::gpu
