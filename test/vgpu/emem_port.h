// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "test/vgpu/fsp_port.h"
#include "test/vgpu/fsp_worker.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// EMEM with its ports, a request and an answer queue per channel (Hopper, NVSwitch generation 3).
// Requests and answers of a channel share its window of EMEM.
//
// Rules of the protocol, to break one is a breach: queue pointers stay in their window; nothing
// is sent, and no queue set up again, while a request waits to be taken (a hung FSP may be given
// up after a second); no request is written over an answer that nobody has fetched; nothing is read
// but what has been answered.
class EmemPort : public FspPortModel {
 public:
  EmemPort(KnobStore& knobs, const FspWorld& world);

  bool Owns(uint32_t offset) const override;
  uint32_t Read(uint32_t offset) override;
  void Write(uint32_t offset, uint32_t value) override;
  void Reset() override;
  void LeaveStale() override;

 private:
  static constexpr uint32_t kChannels = 8;
  static constexpr uint32_t kUsualChannel = 2;  // of those who set modes
  static constexpr uint32_t kChannelBytes = 1024;
  struct Queue {
    uint32_t head = 0, tail = 0;
    bool Empty() const { return head == tail; }
  };
  struct Port {
    uint32_t control = 0;
    bool unread = false;  // an answer waited when the port was set up, and the host could know
  };

  void Advance();
  void Take(uint32_t channel);
  void Deliver(const std::vector<uint32_t>& answer);
  void WritePointer(Queue& queue, uint32_t channel, bool is_request, bool is_tail, uint32_t value);
  uint32_t ReadData(uint32_t channel);
  void WriteData(uint32_t channel, uint32_t value);
  uint32_t& Word(Port& port, uint32_t increment);

  FspWorld world_;
  FspWorker worker_;
  std::array<uint32_t, kChannels * kChannelBytes / 4> emem_{};
  std::array<Port, kChannels> ports_{};
  std::array<Queue, kChannels> requests_{}, answers_{};
  std::array<HostView, kChannels> views_{};
  std::array<TimePoint, kChannels> sent_{}, taken_{};  // taken: when it will be
  uint32_t working_for_ = kUsualChannel;
};

}  // namespace gpuhost::vgpu
