// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/base/clock.h"
#include "libgpuhost/gpu/fsp_transport.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// FSP mailbox of Blackwell GPUs. Uses port 0, which a resident driver uses too: none may be bound.
// The registers must outlive the transport.
class FspMnoc : public FspTransport {
 public:
  FspMnoc(Registers& registers, Clock& clock) : registers_(registers), clock_(clock) {}
  absl::Status Initialize() override;
  absl::Status Send(std::span<const uint32_t> packet) override;
  absl::StatusOr<std::vector<uint32_t>> Receive(Duration limit) override;

 private:
  // Polls the request box until `flag` is set; kDataLoss once its error flag is. Drops answers that
  // come before `flag`.
  absl::Status AwaitRoom(uint32_t flag, Duration limit, std::string_view what);
  absl::StatusOr<uint32_t> ReadAnswerInfo();
  absl::Status DropAnswers();

  Registers& registers_;
  Clock& clock_;
};

}  // namespace gpuhost::gpu
