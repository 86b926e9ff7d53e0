// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/board.h"

#include <algorithm>
#include <array>

namespace gpuhost::vgpu {
namespace {

constexpr Board Hopper(std::string_view name, uint16_t device, uint16_t subsystem) {
  return {.name = name,
          .device = device,
          .subsystem = subsystem,
          .boot_identity = 0x180000a1,
          .boot_status = 0x200bc,
          .recovery = 0x20120,
          .mode = 0x1182cc,
          .fsp = FspPort::kEmem,
          .vendor_structure = 0x2a4,
          .fault_word = 0x10};
}

constexpr Board Blackwell(std::string_view name, uint16_t device, uint16_t subsystem) {
  return {.name = name,
          .device = device,
          .subsystem = subsystem,
          .boot_identity = 0x1a0000a1,
          .boot_status = 0x200bc,
          .recovery = 0x8aa128,
          .mode = 0x590,
          .fsp = FspPort::kMnoc,
          .is_blackwell = true,
          .vendor_structure = 0xaf0,
          .designated = true,
          .fault_word = 0x14,
          .firewall_word = 0x08,
          .firewall_bit = 1u << 20};
}

constexpr Board Gb20x(std::string_view name, uint16_t device, uint16_t subsystem) {
  Board board = Blackwell(name, device, subsystem);
  board.boot_identity = 0x1b2000a1;
  board.boot_status = 0xad00bc;
  board.vendor_structure = 0x2a4;
  board.designated = false;
  board.fault_word = 0x10;
  board.firewall_word = 0x14;
  board.firewall_bit = 1u << 24;
  return board;
}

constexpr Board Coupled(Board board, bool with_cc = false) {
  board.coupled = true;
  board.coupled_cc = with_cc;
  return board;
}

constexpr Board Switch(std::string_view name, uint16_t device, uint32_t identity) {
  return {.name = name,
          .device = device,
          .subsystem = 0x1796,
          .class_code = 0x068000,
          .bar0_size = 32u << 20,
          .boot_identity = identity,
          .is_switch = true};
}

constexpr Board Ls10() {
  Board board = Switch("nvswitch", 0x22a3, 0x7000a1);
  board.boot_status = 0x660bc;
  board.recovery = 0x66120;
  board.mode = 0x28c50;
  board.fsp = FspPort::kEmem;
  return board;
}

// Audio, USB and USB-C functions of a graphics board.
constexpr Board Companion(std::string_view name, uint16_t device, uint32_t class_code) {
  return {.name = name,
          .device = device,
          .subsystem = 0x12ae,
          .class_code = class_code,
          .bar0_size = 1u << 14,
          .boot_identity = 0};
}

constexpr auto kBoards = std::to_array<Board>({
    Hopper("h100-pcie", 0x2331, 0x1626),
    Hopper("h100-sxm", 0x2330, 0x16c1),
    Hopper("h100-nvl", 0x2321, 0x1839),
    Hopper("h200-sxm", 0x2335, 0x18be),
    Hopper("h800-pcie", 0x2322, 0x17a4),
    Hopper("h20-sxm", 0x2329, 0x198b),
    Coupled(Hopper("gh200", 0x2342, 0x16eb)),
    Blackwell("b200", 0x2901, 0x1999),
    Blackwell("b300", 0x3182, 0x20e6),
    Coupled(Blackwell("gb200", 0x2941, 0x2045)),
    Coupled(Blackwell("gb300", 0x31c3, 0x0000), /*with_cc=*/true),
    Gb20x("rtx-pro-6000", 0x2bb5, 0x204e),
    {.name = "a100", .device = 0x20b5, .subsystem = 0x1533, .boot_identity = 0x170000a1},
    {.name = "rtx-4000",
     .device = 0x1eb1,
     .subsystem = 0x12a0,
     .class_code = 0x030000,
     .boot_identity = 0x164000a1,
     .companions = {"rtx-audio", "rtx-usb", "rtx-ucsi"}},
    Companion("rtx-audio", 0x10f8, 0x040300),
    Companion("rtx-usb", 0x1ad8, 0x0c0330),
    Companion("rtx-ucsi", 0x1ad9, 0x0c8000),
    Ls10(),
    Switch("nvswitch-2", 0x1af1, 0x6000a1),
});

}  // namespace

const Board* FindBoard(std::string_view name) {
  const auto found = std::ranges::find(kBoards, name, &Board::name);
  return found == kBoards.end() ? nullptr : &*found;
}

std::vector<std::string_view> BoardNames() {
  std::vector<std::string_view> names;
  for (const Board& board : kBoards) names.push_back(board.name);
  return names;
}

}  // namespace gpuhost::vgpu
