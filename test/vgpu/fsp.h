// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "test/vgpu/fault.h"

namespace gpuhost::vgpu {

// The Foundation Security Processor as BAR0 shows it: EMEM with its ports, a request and an answer
// queue per channel, and behind them the store of PRC knobs, which survives resets.
class Fsp {
 public:
  using HasFault = std::function<bool(Fault)>;
  explicit Fsp(HasFault has_fault);

  // Whether `offset` of BAR0 belongs to the FSP.
  static bool Owns(uint32_t offset);
  uint32_t Read(uint32_t offset);
  void Write(uint32_t offset, uint32_t value);
  void Reset();       // queues and ports; not the knobs
  void LeaveStale();  // as if a user had died over a request

  uint16_t knob(uint16_t id) const;
  void SetKnob(uint16_t id, uint16_t value) { knobs_[id] = value; }

 private:
  static constexpr uint32_t kChannels = 8;
  static constexpr uint32_t kChannelBytes = 1024;
  struct Queue {
    uint32_t head = 0, tail = 0;
  };

  void Serve(uint32_t channel);
  std::vector<uint32_t> Answer(const std::vector<uint32_t>& request);
  uint32_t Prc(const std::vector<uint32_t>& request, std::vector<uint32_t>& payload);
  uint32_t& Port(uint32_t channel, bool on_write);

  HasFault has_fault_;
  std::array<uint32_t, kChannels * kChannelBytes / 4> emem_{};
  std::array<uint32_t, kChannels> ports_{};
  std::array<Queue, kChannels> requests_{}, answers_{};
  std::map<uint16_t, uint16_t> knobs_;
};

}  // namespace gpuhost::vgpu
