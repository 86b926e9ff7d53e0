// SPDX-License-Identifier: Apache-2.0
//
// As much of HTTP/1.1 as metrics and probes need: one request without a body, one answer, the end.
// Source: RFC 9112.
#pragma once

#include <string>
#include <string_view>

namespace gpuhost::service {

struct RequestHead {
  enum class Kind {
    kIncomplete,  // more has to come
    kComplete,
    kInvalid,  // no HTTP/1 request, or its head is longer than kLongestHead
  };
  static constexpr size_t kLongestHead = 8192;  // bytes

  Kind kind = Kind::kIncomplete;
  std::string method;  // "GET"
  std::string path;    // "/metrics", without its query
};

// What has come of a request so far.
RequestHead ParseRequestHead(std::string_view bytes);

// A whole answer of plain text, after which the connection ends.
std::string RenderResponse(int code, std::string_view body);

}  // namespace gpuhost::service
