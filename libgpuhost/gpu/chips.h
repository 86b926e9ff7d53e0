// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/pci/config_space.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::gpu {

enum class Architecture { kBeforeHopper, kHopper, kBlackwell, kNvSwitch };

// How host software talks to the Foundation Security Processor (FSP).
enum class FspKind {
  kEmem,  // queues in its memory: Hopper, NVSwitch generation 3
  kMnoc,  // mailbox: Blackwell
};

// Which meaning the word with the effective confidential-computing mode has.
enum class ModeWord {
  kHopper,     // bit 0 CC, bit 1 devtools, bits 6:5 multi-GPU mode (1 = protected PCIe)
  kBlackwell,  // bit 0 CC, bit 1 devtools, bit 8 CC although coupled to a CPU
  kSwitch,     // bit 0 protected PCIe
};
inline constexpr uint32_t kCoupledCcBit = 1u << 8;

// When a device waits for its firmware to be flashed again.
enum class RecoveryFlag {
  kBit30,    // set
  kLowByte,  // neither 0 nor 1
};

// NVIDIA's structure in the extended configuration space, which also answers while BAR0 does not.
struct VendorWords {
  pci::ConfigSpace::VendorStructure structure;
  uint16_t fault;     // offset of the word with security faults
  uint16_t firewall;  // offset of the word with the firewall flag; 0: BAR0 has no firewall
  uint32_t firewall_bit;
  std::span<const std::string_view> fault_names;  // by bit; "" for one without a name
};

// Registers of a chip that this version operates. Offsets into BAR0.
struct Layout {
  uint32_t boot_status;  // low byte kBootDone once firmware has booted
  uint32_t recovery;
  RecoveryFlag recovery_flag;
  uint32_t mode;  // effective mode, valid after boot
  ModeWord mode_word;
  FspKind fsp;
  Duration boot_limit;  // firmware takes about 1.5 s; the limit is far above
  std::optional<VendorWords> vendor;
};

inline constexpr uint32_t kBootIdentity = 0x0;  // PMC_BOOT_0
inline constexpr uint32_t kBootDone = 0xff;
inline constexpr uint32_t kRecoveryBit = 1u << 30;
inline constexpr uint32_t kC2cStatus = 0x1498;  // link between CPU and GPU: kC2cUp
inline constexpr uint32_t kC2cUp = 0xff;

struct Chip {
  std::string_view name;  // "GH100"
  Architecture architecture;
  const Layout* layout;  // nullptr: BAR0 of this chip is never touched
};

// The chip by PCI ids; nullptr for one that this version does not know. Companions have none.
const Chip* FindChip(const pci::Device& device);

// A superchip, GPU and CPU coupled by NVLink-C2C (GH200, GB200, GB300). It has no
// confidential-computing mode unless its mode word says otherwise (kCoupledCcBit).
bool IsCoupled(const pci::Device& device);

// A board whose function-level reset never ends, though it offers one (GeForce of GB202).
// Source: open-gpu-kernel-modules, issues 853 and 1353.
bool HangsInReset(const pci::Device& device);

}  // namespace gpuhost::gpu
