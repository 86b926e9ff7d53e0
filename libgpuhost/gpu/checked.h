// SPDX-License-Identifier: Apache-2.0
//
// Values that a register answers instead of its content.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string_view>

#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// Nobody answers: off the bus, asleep, in reset, or taken by somebody else.
inline constexpr uint32_t kAllOnes = 0xffffffff;

// The register file refuses the access (0xbadf....), or the firmware has shut the device after a
// security fault. Source: gpu-admin-tools, which stops at any of these.
bool IsFault(uint32_t value);
bool IsSecurityFault(uint32_t value);

// Reads a register whose content decides something; `name` is for the text. Only data that may be
// anything, and registers that are polled until they make sense, are read otherwise.
//   kUnavailable  all ones
//   kDataLoss     a fault instead of content
absl::StatusOr<uint32_t> ReadChecked(Registers& registers, uint32_t offset, std::string_view name);

}  // namespace gpuhost::gpu
