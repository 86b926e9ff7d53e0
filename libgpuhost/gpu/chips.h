// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::gpu {

enum class Architecture { kBeforeHopper, kHopper, kBlackwell, kNvSwitch };

// How host software talks to the Foundation Security Processor (FSP).
enum class FspKind { kEmem };

// Where the word with the effective confidential-computing mode has which meaning.
enum class ModeWord {
  kGpuScratch,  // bit 0 CC, bit 1 devtools, bits 6:5 multi-GPU mode (1 = protected PCIe)
  kSwitch,      // bit 0 protected PCIe
};

// Registers of a chip that this version operates. Offsets into BAR0.
struct Layout {
  uint32_t boot_status;  // low byte kBootDone once firmware has booted
  uint32_t recovery;     // bit 30: device waits for a firmware recovery
  uint32_t mode;         // effective mode, valid after boot
  ModeWord mode_word;
  FspKind fsp;
  Duration boot_limit;  // firmware takes about 1.5 s; the limit is far above
};

inline constexpr uint32_t kBootIdentity = 0x0;  // PMC_BOOT_0
inline constexpr uint32_t kBootDone = 0xff;
inline constexpr uint32_t kRecoveryBit = 1u << 30;

struct Chip {
  std::string_view name;  // "GH100"
  Architecture architecture;
  const Layout* layout;  // nullptr: BAR0 of this chip is never touched
};

// The chip by PCI ids; nullptr for one that this version does not know. Companions have none.
const Chip* FindChip(const pci::Device& device);

}  // namespace gpuhost::gpu
