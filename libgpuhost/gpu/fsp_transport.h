// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::gpu {

// How long the FSP may need for an answer. Source: gpu-admin-tools.
inline constexpr Duration kAnswerLimit = std::chrono::seconds(5);

// Carries request packets to the Foundation Security Processor and its answers back, one after the
// other. One user at a time: whoever talks holds the device's lock. An answer does not say which
// request it belongs to; whoever has given up waiting for one gets it later (see Prc).
//
// Errors of all: kDeadlineExceeded when the FSP takes or answers nothing in time, kDataLoss when
// its queue pointers, flags or the size of its answer make no sense or a register answers with a
// fault, kUnavailable when the device reads all ones.
class FspTransport {
 public:
  virtual ~FspTransport() = default;

  // Brings the channel to its empty state; needed once after opening and after each reset.
  // Drops what an earlier user left unread; what still has to be answered may come later.
  virtual absl::Status Initialize() = 0;
  // Drops answers that nobody waits for, then sends.
  virtual absl::Status Send(std::span<const uint32_t> packet) = 0;
  // The next answer.
  virtual absl::StatusOr<std::vector<uint32_t>> Receive(Duration limit) = 0;
};

}  // namespace gpuhost::gpu
