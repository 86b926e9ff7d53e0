// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "test/vgpu/fault.h"

namespace gpuhost::vgpu {

using HasFault = std::function<bool(Fault)>;

// The firmware behind the FSP's ports: answers requests about PRC knobs, which survive resets.
class KnobStore {
 public:
  // Protected PCIe is known to Hopper GPUs and NVSwitches only.
  KnobStore(HasFault has_fault, bool knows_ppcie);

  std::vector<uint32_t> Answer(const std::vector<uint32_t>& request);

  uint16_t knob(uint16_t id) const;
  void SetKnob(uint16_t id, uint16_t value) { knobs_[id] = value; }

 private:
  uint32_t Prc(const std::vector<uint32_t>& request, std::vector<uint32_t>& payload);

  HasFault has_fault_;
  bool knows_ppcie_;
  std::map<uint16_t, uint16_t> knobs_;
};

}  // namespace gpuhost::vgpu
