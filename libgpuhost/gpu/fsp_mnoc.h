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
  absl::StatusOr<std::vector<uint32_t>> Exchange(std::span<const uint32_t> packet) override;

 private:
  absl::Status Send(std::span<const uint32_t> packet);
  absl::StatusOr<std::vector<uint32_t>> Receive(Duration limit);
  // Polls `info` until `flag` is set; kDataLoss once its error flag is.
  absl::Status Await(uint32_t info, uint32_t flag, Duration limit, std::string_view what);

  Registers& registers_;
  Clock& clock_;
};

}  // namespace gpuhost::gpu
