// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/parse.h"

#include <charconv>

namespace gpuhost {
namespace {

std::optional<uint64_t> Parse(std::string_view text, int base, uint64_t max) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stop != end || value > max) return std::nullopt;
  return value;
}

}  // namespace

std::optional<uint64_t> ParseDecimal(std::string_view text, uint64_t max) {
  return Parse(text, 10, max);
}

std::optional<uint64_t> ParseHex(std::string_view text, uint64_t max) {
  return Parse(text, 16, max);
}

std::optional<uint64_t> ParsePrefixedHex(std::string_view text, uint64_t max) {
  if (!text.starts_with("0x")) return std::nullopt;
  return Parse(text.substr(2), 16, max);
}

}  // namespace gpuhost
