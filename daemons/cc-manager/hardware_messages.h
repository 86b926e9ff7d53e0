// SPDX-License-Identifier: Apache-2.0
//
// What the two sides of cc-manager say to each other: one request, one answer, each one datagram of
// a SOCK_SEQPACKET pair. Both sides run the same program, so there are no versions. Whatever does
// not decode exactly is kDataLoss.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "daemons/cc-manager/hardware.h"

namespace gpuhost::cc_manager {

inline constexpr size_t kMaxMessage = 128 * 1024;  // bytes; below the default SO_SNDBUF
inline constexpr size_t kMaxDevices = 512;         // GPUs and NVSwitches of one machine
// Bytes of a text, of one device and of the whole node; longer ones are cut.
inline constexpr size_t kMaxNodeText = 8000;
constexpr size_t MaxDeviceText(size_t devices) { return devices <= 64 ? 800 : 51'200 / devices; }

struct Request {
  enum class Call : uint8_t { kQuery = 1, kArm, kDisarm, kReset };
  Call call = Call::kQuery;
  cc::Mode mode = cc::Mode::kOff;  // kQuery, kArm
  bool ask_firmware = false;       // kQuery
  bool operator==(const Request&) const = default;
};

std::string Encode(const Request& request);
absl::StatusOr<Request> DecodeRequest(std::string_view message);

// An answer to `call`. Texts are cut, and their non-ASCII and control bytes replaced. An answer of
// more than kMaxDevices devices is one of none, with kResourceExhausted as its status.
absl::StatusOr<std::string> Encode(Request::Call call, const Survey& survey);
absl::StatusOr<std::string> Encode(Request::Call call, const Progress& progress);
absl::StatusOr<Survey> DecodeSurvey(Request::Call call, std::string_view message);
absl::StatusOr<Progress> DecodeProgress(Request::Call call, std::string_view message);

}  // namespace gpuhost::cc_manager
