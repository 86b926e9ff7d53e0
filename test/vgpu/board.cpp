// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/board.h"

#include <algorithm>
#include <array>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t k3dController = 0x030200, kBridge = 0x068000;
constexpr uint32_t kGpuWindow = 16u << 20, kSwitchWindow = 32u << 20;
constexpr uint32_t kGh100 = 0x180000a1;

constexpr Board Hopper(std::string_view name, uint16_t device, uint16_t subsystem) {
  return {.name = name,
          .device = device,
          .subsystem = subsystem,
          .class_code = k3dController,
          .bar0_size = kGpuWindow,
          .boot_identity = kGh100,
          .boot_status = 0x200bc,
          .recovery = 0x20120,
          .mode = 0x1182cc,
          .is_switch = false};
}

constexpr auto kBoards = std::to_array<Board>({
    Hopper("h100-pcie", 0x2331, 0x1626),
    Hopper("h100-sxm", 0x2330, 0x16c1),
    Hopper("h100-nvl", 0x2321, 0x1839),
    Hopper("h200-sxm", 0x2335, 0x18be),
    {.name = "a100",
     .device = 0x20b5,
     .subsystem = 0x1533,
     .class_code = k3dController,
     .bar0_size = kGpuWindow,
     .boot_identity = 0x170000a1,
     .boot_status = 0,
     .recovery = 0,
     .mode = 0,
     .is_switch = false},
    {.name = "nvswitch",
     .device = 0x22a3,
     .subsystem = 0x1796,
     .class_code = kBridge,
     .bar0_size = kSwitchWindow,
     .boot_identity = 0x7000a1,
     .boot_status = 0x660bc,
     .recovery = 0x66120,
     .mode = 0x28c50,
     .is_switch = true},
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
