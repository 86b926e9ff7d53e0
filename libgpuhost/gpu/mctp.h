// SPDX-License-Identifier: Apache-2.0
//
// Framing of messages to the FSP: one MCTP packet (DSP0236) that carries a vendor-defined PCI
// message (type 0x7e, vendor 10de) of an NVDM type. All words are little-endian 32-bit.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace gpuhost::gpu {

inline constexpr uint8_t kNvdmPrc = 0x13;       // request to the PRC knobs
inline constexpr uint8_t kNvdmResponse = 0x15;  // answer of the FSP to any request

// A request of NVDM type `type` in a single packet.
std::vector<uint32_t> EncodeRequest(uint8_t type, std::span<const uint32_t> payload);

struct Response {
  uint32_t error;  // 0: done; else an FSP error code, see prc.h
  std::vector<uint32_t> payload;
};

// The answer to a request of type `request`. kDataLoss when it is too short, not a single packet,
// not a response, or the response to something else.
absl::StatusOr<Response> DecodeResponse(uint8_t request, std::span<const uint32_t> packet);

}  // namespace gpuhost::gpu
