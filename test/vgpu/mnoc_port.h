// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <vector>

#include "test/vgpu/fsp_port.h"
#include "test/vgpu/fsp_worker.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// The mailbox of Blackwell, port 0: a request is announced with its size and pushed word by word,
// 64 bytes for each credit; an answer is popped likewise.
//
// Rules of the protocol, to break one is a breach: nothing is announced while the mailbox is not
// ready or holds an answer that nobody has fetched; no word is pushed without credit, or beyond
// what was announced; none is popped that is not there.
class MnocPort : public FspPortModel {
 public:
  MnocPort(KnobStore& knobs, const FspWorld& world) : world_(world), worker_(knobs, world_) {}

  bool Owns(uint32_t offset) const override;
  uint32_t Read(uint32_t offset) override;
  void Write(uint32_t offset, uint32_t value) override;
  void Reset() override;
  void LeaveStale() override;
  void LeaveStaleError() override { answer_error_ = true; }

 private:
  void Advance();
  void DeliverWhatIsDue();
  void Deliver(const std::vector<uint32_t>& answer);
  void Announce(uint32_t bytes);
  void Push(uint32_t word);
  uint32_t Pop();
  bool HasCredit() const;

  FspWorld world_;
  FspWorker worker_;
  uint32_t announced_ = 0;         // bytes of the request that is being pushed or waits
  bool refused_ = false;           // its announcement made no sense
  std::vector<uint32_t> request_;  // what has been pushed of it
  TimePoint credit_at_;            // the next 64 bytes may be pushed
  TimePoint take_at_;              // a complete request will be taken
  std::deque<uint32_t> answer_;
  uint32_t answer_bytes_ = 0;
  bool answer_error_ = false;  // cleared by the next answer
  HostView view_;
};

}  // namespace gpuhost::vgpu
