// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_request.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::service {
namespace {

constexpr size_t kLongestHead = 8192;

bool IsToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string_view Phrase(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
    default:
      return "Bad Request";
  }
}

}  // namespace

std::optional<HttpRequest> ParseHttpRequest(std::string_view text) {
  if (text.find("\r\n\r\n") == std::string_view::npos) {
    // Nobody has to wait for the end of what cannot become a request.
    if (text.size() <= kLongestHead) return std::nullopt;
    return HttpRequest{};
  }
  const std::string_view line = text.substr(0, text.find("\r\n"));
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return HttpRequest{};
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!IsToken(method) || !version.starts_with("HTTP/1.") || !target.starts_with('/')) {
    return HttpRequest{};
  }
  return HttpRequest{.method = std::string(method),
                     .path = std::string(target.substr(0, target.find('?')))};
}

std::string RenderHttpAnswer(const HttpAnswer& answer) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      answer.code, Phrase(answer.code), answer.text.size(), answer.text);
}

}  // namespace gpuhost::service
