// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "test/vgpu/board.h"

namespace gpuhost::vgpu {

// Configuration space of a PCI Express endpoint with power management and function-level reset, two
// 32-bit BARs, and in its extended part advanced error reporting and NVIDIA's own structure.
// Source: PCI Express Base Specification 5.0, 7.5 and 7.9.
class ConfigSpace {
 public:
  explicit ConfigSpace(const Board& board);

  // 1, 2 or 4 bytes, little-endian; 0 beyond the end.
  uint32_t Read(uint32_t offset, uint32_t size) const;
  // Changes the bits that are writable. True when the write starts a function-level reset.
  bool Write(uint32_t offset, uint32_t size, uint32_t value);
  // What a reset of the whole bus does: BARs and COMMAND are 0, the power state is D0.
  void Reset();

  uint32_t bar(uint32_t index) const;  // where the bus has put it; 0: nowhere
  bool DecodesMemory() const;
  bool InD0() const;
  void EnterD3hot();
  void OfferFlr(bool offered);
  // Other functions share the slot.
  void SetMultifunction() { bytes_[0x0e] |= 0x80; }
  // Words of NVIDIA's structure.
  void SetFirewall(bool closed);
  void SetFaults(uint32_t bits);

 private:
  static constexpr uint32_t kSize = 4096;
  void Put(uint32_t offset, uint32_t size, uint32_t value);
  void Allow(uint32_t offset, uint32_t size, uint32_t mask);

  const Board& board_;
  std::array<uint8_t, kSize> bytes_{};
  std::array<uint8_t, kSize> writable_{};
};

}  // namespace gpuhost::vgpu
