// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/quote.h"

#include <fmt/format.h>

namespace gpuhost {
namespace {

bool Continues(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// Bytes of the well-formed character that `text` begins with; 0: it begins with none.
// Source: Unicode Standard, table 3-7.
size_t LengthOfCharacter(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!Continues(at(i))) return 0;
  }
  const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool surrogate = first == 0xed && at(1) > 0x9f;
  const bool too_large = first == 0xf4 && at(1) > 0x8f;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string OneLine(std::string_view text, size_t longest) {
  std::string line;
  while (!text.empty()) {
    const size_t length = LengthOfCharacter(text);
    const bool control =
        length == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f);
    const std::string_view character = length == 0 || control ? "?" : text.substr(0, length);
    if (line.size() + character.size() > longest) break;
    line += character;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return line;
}

}  // namespace gpuhost
