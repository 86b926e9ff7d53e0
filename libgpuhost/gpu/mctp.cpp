// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/mctp.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::gpu {
namespace {

constexpr uint32_t kStartOfMessage = 1u << 31;
constexpr uint32_t kEndOfMessage = 1u << 30;
constexpr uint32_t kSinglePacket = kStartOfMessage | kEndOfMessage;
constexpr uint32_t kVendorMessage = 0x7e | 0x10de << 8;  // type 6:0, vendor 23:8

// [0] MCTP header, [1] message header, [2] task id, [3] echoed request type, [4] error code.
constexpr size_t kResponseWords = 5;

}  // namespace

std::vector<uint32_t> EncodeRequest(uint8_t type, std::span<const uint32_t> payload) {
  std::vector<uint32_t> packet{kSinglePacket, kVendorMessage | uint32_t{type} << 24};
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}

absl::StatusOr<Response> DecodeResponse(uint8_t request, std::span<const uint32_t> packet) {
  if (packet.size() < kResponseWords) {
    return Error(absl::StatusCode::kDataLoss, "FSP answered {} words, fewer than {}", packet.size(),
                 kResponseWords);
  }
  if ((packet[0] & kSinglePacket) != kSinglePacket) {
    return Error(absl::StatusCode::kDataLoss, "FSP answered in parts (MCTP header {:#010x})",
                 packet[0]);
  }
  if (packet[1] != (kVendorMessage | uint32_t{kNvdmResponse} << 24)) {
    return Error(absl::StatusCode::kDataLoss, "FSP sent {:#010x}, which is no response", packet[1]);
  }
  if (packet[3] != request) {
    return Error(absl::StatusCode::kDataLoss, "FSP answered request type {:#x} instead of {:#x}",
                 packet[3], request);
  }
  const std::span<const uint32_t> payload = packet.subspan(kResponseWords);
  return Response{packet[4], std::vector<uint32_t>(payload.begin(), payload.end())};
}

}  // namespace gpuhost::gpu
