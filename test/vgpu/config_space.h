// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "test/vgpu/board.h"

namespace gpuhost::vgpu {

// The 256 bytes of configuration space of a PCI Express endpoint with power management and
// function-level reset, and two 32-bit BARs.
class ConfigSpace {
 public:
  explicit ConfigSpace(const Board& board);

  uint32_t Read(uint32_t offset, uint32_t size) const;
  // Returns true when the write starts a function-level reset.
  bool Write(uint32_t offset, uint32_t size, uint32_t value);

  uint32_t bar(int index) const { return bars_[static_cast<size_t>(index)]; }
  bool DecodesMemory() const;
  bool InD0() const;
  void EnterD3hot();
  void RemoveFlr();

  static constexpr uint32_t kBar0Size = 16u << 20;
  static constexpr uint32_t kBar1Size = 1u << 20;

 private:
  void Put(uint32_t offset, uint32_t size, uint32_t value);

  std::array<uint8_t, 256> bytes_{};
  std::array<uint32_t, 2> bars_{};
};

}  // namespace gpuhost::vgpu
