// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/checked.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::gpu {
namespace {

constexpr uint32_t kSecurityFaults[] = {0xbadf0200, 0xbad00200};

}  // namespace

bool IsSecurityFault(uint32_t value) {
  return value == kSecurityFaults[0] || value == kSecurityFaults[1];
}

bool IsFault(uint32_t value) { return value >> 16 == 0xbadf || IsSecurityFault(value); }

absl::StatusOr<uint32_t> ReadChecked(Registers& registers, uint32_t offset, std::string_view name) {
  GPUHOST_ASSIGN(const uint32_t value, registers.Read32(offset));
  if (value == kAllOnes) {
    return Error(absl::StatusCode::kUnavailable,
                 "{} ({:#x}) reads all ones: the device fell off the bus, hangs, or was taken by a "
                 "virtual machine; reset it or power-cycle the machine",
                 name, offset);
  }
  if (!IsFault(value)) return value;
  return Error(absl::StatusCode::kDataLoss,
               "{} ({:#x}) answers with {} {:#010x}; reset the device or power-cycle the machine",
               name, offset, IsSecurityFault(value) ? "security fault" : "fault", value);
}

}  // namespace gpuhost::gpu
