// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/base/clock.h"
#include "libgpuhost/gpu/fsp_transport.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// FSP queues in EMEM, as on Hopper GPUs and NVSwitch gen 3. Uses channel 2, which no driver uses.
// The registers must outlive the transport.
class FspEmem : public FspTransport {
 public:
  FspEmem(Registers& registers, Clock& clock) : registers_(registers), clock_(clock) {}
  absl::Status Initialize() override;
  absl::Status Send(std::span<const uint32_t> packet) override;
  absl::StatusOr<std::vector<uint32_t>> Receive(Duration limit) override;

 private:
  struct Queue {
    uint32_t head = 0, tail = 0;
    bool Empty() const { return head == tail; }
  };
  absl::StatusOr<Queue> ReadQueue(uint32_t head, uint32_t tail, std::string_view name);
  // Waits until the FSP has taken the request before; drops answers that come meanwhile.
  absl::Status AwaitTaken(Duration limit);
  absl::Status DropAnswer();

  Registers& registers_;
  Clock& clock_;
};

}  // namespace gpuhost::gpu
