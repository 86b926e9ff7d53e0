// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "test/vgpu/fault.h"

namespace gpuhost::vgpu {

// The firmware behind the FSP's ports: answers requests about PRC knobs, which survive resets. It
// takes no request for what it is not: one with other MCTP flags or of another vendor is ignored,
// one of the wrong length or with a value that the knob does not have is refused.
class KnobStore {
 public:
  // Protected PCIe is known to Hopper GPUs and NVSwitches only. Whoever writes devtools without CC
  // by message breaks a rule.
  KnobStore(HasFault has_fault, std::function<void(const std::string&)> breach, bool knows_ppcie);

  // Empty: there is none.
  std::vector<uint32_t> Answer(const std::vector<uint32_t>& request);

  uint16_t knob(uint16_t id) const;
  // By other means than a message.
  void SetKnob(uint16_t id, uint16_t value) {
    knobs_[id] = value;
    written_ = false;
  }
  // Whether knobs have been written by message, and by nothing else, since this was asked last.
  bool TakeWritten() { return std::exchange(written_, false); }

 private:
  uint32_t Prc(const std::vector<uint32_t>& request, std::vector<uint32_t>& payload);
  uint32_t Write(uint16_t id, uint32_t value);
  bool DevtoolsWithoutCc() const;

  HasFault has_fault_;
  std::function<void(const std::string&)> breach_;
  bool knows_ppcie_;
  bool written_ = false;
  std::map<uint16_t, uint16_t> knobs_;
};

}  // namespace gpuhost::vgpu
