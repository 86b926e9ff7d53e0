// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// What can be read of a device that has failed without changing it.
struct Diagnostics {
  struct Value {
    std::string_view name;
    uint32_t offset;
    uint32_t value;
  };
  std::string config;            // first 64 bytes of configuration space; empty: not readable
  std::string faults;            // see DescribeFaults
  std::vector<Value> registers;  // of BAR0; empty: see `registers_left_out`
  std::string registers_left_out;
};

// Reads only, and of BAR0 only registers whose reading has no side effect. BAR0 is left alone when
// the chip is unknown or has no layout, when the device sleeps or does not answer in configuration
// space, and unless its firewall is seen to be open. The device must not be stuck in a reset (see
// Session::stuck), for then the kernel does not come back from this either.
// Source of the registers: NVIDIA's gpu-admin-tools and open kernel modules.
Diagnostics ReadDiagnostics(const Host& host, const pci::Device& device);

}  // namespace gpuhost::gpu
