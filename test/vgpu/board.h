// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gpuhost::vgpu {

// What distinguishes one board from another on the bus.
struct Board {
  std::string_view name;  // as --model takes it
  uint16_t device;
  uint16_t subsystem;
  uint32_t class_code;
  uint32_t bar0_size;      // bytes
  uint32_t boot_identity;  // PMC_BOOT_0
  // Registers by chip; 0: the chip has none.
  uint32_t boot_status;
  uint32_t recovery;
  uint32_t mode;
  bool is_switch;
};

// nullptr for a name that is none.
const Board* FindBoard(std::string_view name);
std::vector<std::string_view> BoardNames();

}  // namespace gpuhost::vgpu
