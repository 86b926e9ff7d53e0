// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/http_request.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::service {
namespace {

using Kind = RequestHead::Kind;

std::string_view ReasonOf(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

// "GET /metrics HTTP/1.1"
RequestHead ParseRequestLine(std::string_view line) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || first == 0) return {Kind::kInvalid};
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!line.substr(last + 1).starts_with("HTTP/1.") || !target.starts_with('/') ||
      target.find(' ') != std::string_view::npos) {
    return {Kind::kInvalid};
  }
  return {Kind::kComplete, std::string(line.substr(0, first)),
          std::string(target.substr(0, target.find('?')))};
}

}  // namespace

RequestHead ParseRequestHead(std::string_view bytes) {
  const size_t end =
      std::min(bytes.find("\r\n\r\n"), bytes.find("\n\n"));  // lenient, as the RFC advises
  if (std::min(end, bytes.size()) > RequestHead::kLongestHead) return {Kind::kInvalid};
  if (end == std::string_view::npos) return {};
  std::string_view line = bytes.substr(0, bytes.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return ParseRequestLine(line);
}

std::string RenderResponse(int code, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      code, ReasonOf(code), body.size(), body);
}

}  // namespace gpuhost::service
