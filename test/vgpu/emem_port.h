// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "test/vgpu/fsp_port.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// EMEM with its ports, a request and an answer queue per channel (Hopper, NVSwitch generation 3).
class EmemPort : public FspPortModel {
 public:
  EmemPort(KnobStore& knobs, HasFault has_fault);

  bool Owns(uint32_t offset) const override;
  uint32_t Read(uint32_t offset) override;
  void Write(uint32_t offset, uint32_t value) override;
  void Reset() override;
  void LeaveStale() override;

 private:
  static constexpr uint32_t kChannels = 8;
  static constexpr uint32_t kChannelBytes = 1024;
  struct Queue {
    uint32_t head = 0, tail = 0;
  };

  void Serve(uint32_t channel);
  uint32_t& Port(uint32_t channel, bool on_write);

  KnobStore& firmware_;
  HasFault has_fault_;
  std::array<uint32_t, kChannels * kChannelBytes / 4> emem_{};
  std::array<uint32_t, kChannels> ports_{};
  std::array<Queue, kChannels> requests_{}, answers_{};
};

}  // namespace gpuhost::vgpu
