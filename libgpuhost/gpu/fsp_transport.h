// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace gpuhost::gpu {

// Carries one request packet to the Foundation Security Processor and its answer back. One user at
// a time: whoever talks holds the device's lock.
class FspTransport {
 public:
  virtual ~FspTransport() = default;

  // Brings the channel to its empty state; needed once after opening and after each reset.
  // Drops what an earlier user left unread.
  virtual absl::Status Initialize() = 0;

  // kDeadlineExceeded when the FSP takes or answers nothing in time, kDataLoss when its queue
  // pointers or the size of its answer make no sense.
  virtual absl::StatusOr<std::vector<uint32_t>> Exchange(std::span<const uint32_t> packet) = 0;
};

}  // namespace gpuhost::gpu
