// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <vector>

#include "test/vgpu/fsp_port.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// The mailbox of Blackwell, port 0: a request is announced with its size and pushed word by word,
// an answer popped likewise.
class MnocPort : public FspPortModel {
 public:
  MnocPort(KnobStore& knobs, HasFault has_fault)
      : firmware_(knobs), has_fault_(std::move(has_fault)) {}

  bool Owns(uint32_t offset) const override;
  uint32_t Read(uint32_t offset) override;
  void Write(uint32_t offset, uint32_t value) override;
  void Reset() override;
  void LeaveStale() override;

 private:
  void Serve();

  KnobStore& firmware_;
  HasFault has_fault_;
  uint32_t announced_ = 0;  // bytes of the request that is being pushed
  bool error_ = false;
  std::vector<uint32_t> request_;
  std::deque<uint32_t> answer_;
  uint32_t answer_bytes_ = 0;
};

}  // namespace gpuhost::vgpu
