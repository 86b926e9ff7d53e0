// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gpuhost::vgpu {

enum class FspPort { kNone, kEmem, kMnoc };

// What distinguishes one board from another on the bus.
struct Board {
  std::string_view name;  // as --model takes it
  uint16_t device;
  uint16_t subsystem;
  uint32_t class_code = 0x030200;  // 3D controller
  uint32_t bar0_size = 16u << 20;  // bytes
  uint32_t boot_identity;          // PMC_BOOT_0
  // Registers by chip; 0: the chip has none.
  uint32_t boot_status = 0;
  uint32_t recovery = 0;
  uint32_t mode = 0;
  FspPort fsp = FspPort::kNone;
  bool is_switch = false;
  bool is_blackwell = false;
  bool coupled = false;     // to its CPU, by NVLink-C2C
  bool coupled_cc = false;  // and offers CC nevertheless
  // NVIDIA's structure in the extended configuration space; 0: none. With a firewall, BAR0 is
  // closed while the firmware boots.
  uint16_t vendor_structure = 0;
  bool designated = false;  // a DVSEC instead of a VSEC
  uint16_t fault_word = 0;  // offsets from its start
  uint16_t firewall_word = 0;
  uint32_t firewall_bit = 0;
  // Names of the boards that stand for its other functions; empty ones are none.
  std::array<std::string_view, 3> companions = {};
};

// nullptr for a name that is none.
const Board* FindBoard(std::string_view name);
std::vector<std::string_view> BoardNames();

}  // namespace gpuhost::vgpu
