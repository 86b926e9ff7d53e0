// SPDX-License-Identifier: Apache-2.0
//
// One question to a daemon that speaks gRPC on a UNIX socket. One request over libcurl's HTTP/2, so
// that a program which asks now and then needs no gRPC.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "libgpuhost/base/clock.h"

namespace gpuhost::rpc {

struct UnaryAnswer {
  std::string status;   // gRPC's number, "0" when the method was carried out
  std::string message;  // its words when not
  std::string bytes;    // the protobuf message
};

// Calls `method` ("runtime.v1.RuntimeService/Status") with a protobuf message. kUnavailable when
// nobody answers within `limit`, or not as gRPC; an answer of more than 1 MiB is cut off, and so
// kUnavailable, too. Where the answer is lost on its way the method is called again, so it must be
// one that changes nothing. Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md).
absl::StatusOr<UnaryAnswer> CallUnary(const std::string& socket, const std::string& method,
                                      std::string_view message, Duration limit);

}  // namespace gpuhost::rpc
