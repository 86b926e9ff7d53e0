// SPDX-License-Identifier: Apache-2.0
//
// As much of HTTP as a probe and Prometheus need: one request without a body, one answer, and the
// connection ends. Source: RFC 9112.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gpuhost::service {

struct HttpRequest {
  std::string method;  // empty: what came is no request
  std::string path;    // without a query
};

// The request that begins with `text`; nothing while its head is not complete, which it has to be
// within 8 KiB.
std::optional<HttpRequest> ParseHttpRequest(std::string_view text);

struct HttpAnswer {
  int code = 200;
  std::string text;
};

std::string RenderHttpAnswer(const HttpAnswer& answer);

}  // namespace gpuhost::service
