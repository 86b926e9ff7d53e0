// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/chips.h"

#include <algorithm>
#include <array>

namespace gpuhost::gpu {
namespace {

using std::chrono::seconds;

// Register names as in NVIDIA's open kernel modules and gpu-admin-tools.
constexpr Layout kGh100{
    .boot_status = 0x200bc,  // NV_THERM_I2CS_SCRATCH, FSP boot complete
    .recovery = 0x20120,     // boot flags
    .mode = 0x1182cc,        // secure scratch group 20
    .mode_word = ModeWord::kGpuScratch,
    .fsp = FspKind::kEmem,
    .boot_limit = seconds(10),
};

constexpr Layout kLs10{
    .boot_status = 0x660bc,
    .recovery = 0x66120,
    .mode = 0x28c50,
    .mode_word = ModeWord::kSwitch,
    .fsp = FspKind::kEmem,
    .boot_limit = seconds(10),
};

struct Row {
  uint16_t first, last;  // PCI device ids, inclusive
  Chip chip;
};

using enum Architecture;

// Source: the device id ranges of gpu-admin-tools (gpu/devid_chips.py).
constexpr auto kGpus = std::to_array<Row>({
    {0x2080, 0x20ff, {"GA100", kBeforeHopper, nullptr}},
    {0x2200, 0x227f, {"GA102", kBeforeHopper, nullptr}},
    {0x2300, 0x237f, {"GH100", kHopper, &kGh100}},
    {0x2400, 0x247f, {"GA103", kBeforeHopper, nullptr}},
    {0x2480, 0x24ff, {"GA104", kBeforeHopper, nullptr}},
    {0x2500, 0x257f, {"GA106", kBeforeHopper, nullptr}},
    {0x2580, 0x25ff, {"GA107", kBeforeHopper, nullptr}},
    {0x2680, 0x26ff, {"AD102", kBeforeHopper, nullptr}},
    {0x2700, 0x277f, {"AD103", kBeforeHopper, nullptr}},
    {0x2780, 0x27ff, {"AD104", kBeforeHopper, nullptr}},
    {0x2800, 0x287f, {"AD106", kBeforeHopper, nullptr}},
    {0x2880, 0x28ff, {"AD107", kBeforeHopper, nullptr}},
    {0x2900, 0x297f, {"GB100", kBlackwell, nullptr}},
    {0x2980, 0x29ff, {"GB102", kBlackwell, nullptr}},
    {0x2b80, 0x2bff, {"GB202", kBlackwell, nullptr}},
    {0x2c00, 0x2c7f, {"GB203", kBlackwell, nullptr}},
    {0x2d00, 0x2d7f, {"GB206", kBlackwell, nullptr}},
    {0x2d80, 0x2dff, {"GB207", kBlackwell, nullptr}},
    {0x2f00, 0x2f7f, {"GB205", kBlackwell, nullptr}},
    {0x3180, 0x31ff, {"GB110", kBlackwell, nullptr}},
    {0x3200, 0x327f, {"GB112", kBlackwell, nullptr}},
});

constexpr auto kSwitches = std::to_array<Row>({
    {0x1af1, 0x1af1, {"LR10", kNvSwitch, nullptr}},
    {0x22a3, 0x22a3, {"LS10", kNvSwitch, &kLs10}},
});

template <typename Rows>
const Chip* Find(const Rows& rows, uint16_t device) {
  const auto row = std::ranges::find_if(
      rows, [device](const Row& r) { return r.first <= device && device <= r.last; });
  return row == rows.end() ? nullptr : &row->chip;
}

}  // namespace

const Chip* FindChip(const pci::Device& device) {
  switch (device.kind()) {
    case pci::Kind::kGpu:
      return Find(kGpus, device.device);
    case pci::Kind::kNvSwitch:
      return Find(kSwitches, device.device);
    case pci::Kind::kCompanion:
    case pci::Kind::kForeign:
      return nullptr;
  }
  return nullptr;
}

}  // namespace gpuhost::gpu
