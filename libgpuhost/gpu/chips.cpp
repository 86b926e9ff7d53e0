// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/chips.h"

#include <algorithm>
#include <array>

#include "libgpuhost/pci/coupled.h"

namespace gpuhost::gpu {
namespace {

using std::chrono::seconds;

using Vendor = pci::ConfigSpace::VendorStructure;

// Bits of the words with security faults.
// Source: NVIDIA's open kernel modules and gpu-admin-tools; abbreviations are theirs.
constexpr auto kHopperFaults = std::to_array<std::string_view>(
    {"fuse POD", "fuse SCPM", "FSP SCPM", "SEC2 SCPM", "FSP DCLS", "SEC2 DCLS", "GSP DCLS",
     "PMU DCLS", "IFF sequence too big", "IFF CRC before", "IFF CRC after", "IFF ECC",
     "IFF command", "IFF PRI", "IFF watchdog", "boot FSM"});
constexpr auto kGb10xFaults = std::to_array<std::string_view>({"fuse POD",
                                                               "fuse SCPM",
                                                               "IFF too big",
                                                               "IFF CRC before",
                                                               "IFF CRC after",
                                                               "IFF ECC",
                                                               "IFF command",
                                                               "IFF PRI",
                                                               "C2C",
                                                               "HBI link",
                                                               "FSP SCPM",
                                                               "FSP DCLS",
                                                               "FSP EMP",
                                                               "FSP uncorrectable error",
                                                               "FSP watchdog",
                                                               "SEC2 SCPM",
                                                               "SEC2 DCLS",
                                                               "SEC2 watchdog",
                                                               "GSP DCLS",
                                                               "GSP watchdog",
                                                               "PMU DCLS",
                                                               "PMU watchdog",
                                                               "die 2: fuse POD",
                                                               "die 2: fuse SCPM",
                                                               "die 2: IFF too big",
                                                               "die 2: IFF CRC before",
                                                               "die 2: IFF CRC after",
                                                               "die 2: IFF ECC",
                                                               "die 2: IFF command",
                                                               "die 2: IFF PRI",
                                                               "device lockdown",
                                                               "function lockdown"});
constexpr auto kGb20xFaults = std::to_array<std::string_view>({"fuse POD",
                                                               "fuse SCPM",
                                                               "IFF too big",
                                                               "IFF CRC before",
                                                               "IFF CRC after",
                                                               "IFF ECC",
                                                               "IFF command",
                                                               "IFF PRI",
                                                               "",
                                                               "",
                                                               "FSP SCPM",
                                                               "FSP DCLS",
                                                               "FSP EMP",
                                                               "FSP uncorrectable error",
                                                               "FSP watchdog",
                                                               "SEC2 SCPM",
                                                               "SEC2 DCLS",
                                                               "SEC2 watchdog",
                                                               "GSP DCLS",
                                                               "GSP watchdog",
                                                               "PMU DCLS",
                                                               "PMU watchdog",
                                                               "XTAL CTFDC",
                                                               "XTAL FMON",
                                                               "GPC FMON"});

// Register names as in NVIDIA's open kernel modules and gpu-admin-tools.
constexpr Layout kGh100{
    .boot_status = 0x200bc,  // NV_THERM_I2CS_SCRATCH, FSP boot complete
    .recovery = 0x20120,     // boot flags
    .recovery_flag = RecoveryFlag::kBit30,
    .mode = 0x1182cc,  // secure scratch group 20
    .mode_word = ModeWord::kHopper,
    .fsp = FspKind::kEmem,
    .boot_limit = seconds(10),
    .vendor = VendorWords{Vendor::kVsec, 0x10, 0, 0, kHopperFaults},
};

constexpr Layout kGb10x{
    .boot_status = 0x200bc,
    .recovery = 0x8aa128,
    .recovery_flag = RecoveryFlag::kLowByte,
    .mode = 0x590,  // reset scratch 2, index 4
    .mode_word = ModeWord::kBlackwell,
    .fsp = FspKind::kMnoc,
    .boot_limit = seconds(15),
    .vendor = VendorWords{Vendor::kDvsec, 0x14, 0x08, 1u << 20, kGb10xFaults},
};

constexpr Layout kGb20x{
    .boot_status = 0xad00bc,
    .recovery = 0x8aa128,
    .recovery_flag = RecoveryFlag::kLowByte,
    .mode = 0x590,
    .mode_word = ModeWord::kBlackwell,
    .fsp = FspKind::kMnoc,
    .boot_limit = seconds(15),
    .vendor = VendorWords{Vendor::kVsec, 0x10, 0x14, 1u << 24, kGb20xFaults},
};

constexpr Layout kLs10{
    .boot_status = 0x660bc,
    .recovery = 0x66120,
    .recovery_flag = RecoveryFlag::kBit30,
    .mode = 0x28c50,
    .mode_word = ModeWord::kSwitch,
    .fsp = FspKind::kEmem,
    .boot_limit = seconds(10),
    .vendor = std::nullopt,
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
    {0x2900, 0x297f, {"GB100", kBlackwell, &kGb10x}},
    {0x2980, 0x29ff, {"GB102", kBlackwell, &kGb10x}},
    {0x2b80, 0x2bff, {"GB202", kBlackwell, &kGb20x}},
    {0x2c00, 0x2c7f, {"GB203", kBlackwell, &kGb20x}},
    {0x2d00, 0x2d7f, {"GB206", kBlackwell, &kGb20x}},
    {0x2d80, 0x2dff, {"GB207", kBlackwell, &kGb20x}},
    {0x2f00, 0x2f7f, {"GB205", kBlackwell, &kGb20x}},
    {0x3180, 0x31ff, {"GB110", kBlackwell, &kGb10x}},
    {0x3200, 0x327f, {"GB112", kBlackwell, &kGb10x}},
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

bool IsCoupled(const pci::Device& device) { return pci::IsCoupled(device); }

bool HangsInReset(const pci::Device& device) {
  constexpr uint16_t kBoards[] = {0x2b85, 0x2b87, 0x2b8c};
  return device.vendor == pci::kNvidia && std::ranges::count(kBoards, device.device) != 0;
}

}  // namespace gpuhost::gpu
