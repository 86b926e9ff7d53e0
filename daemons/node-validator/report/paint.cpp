// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/paint.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::node_validator {
namespace {

std::string_view CodeOf(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "0";
    case Colour::kBold:
      return "1";
    case Colour::kDim:
      return "2";
    case Colour::kRed:
      return "1;31";
    case Colour::kGreen:
      return "32";
    case Colour::kYellow:
      return "33";
    case Colour::kCyan:
      return "36";
  }
  return "0";
}

bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

std::string Paint(bool on, Colour colour, std::string_view text) {
  if (!on || colour == Colour::kNone || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", CodeOf(colour), text);
}

size_t Columns(std::string_view text) {
  return text.size() - static_cast<size_t>(std::ranges::count_if(text, Continues));
}

std::string Shorten(std::string_view text, size_t columns) {
  if (Columns(text) <= columns) return std::string(text);
  std::string kept;
  size_t used = 0;
  for (const char byte : text) {
    if (!Continues(byte) && ++used >= columns) break;
    kept += byte;
  }
  return kept + "…";
}

std::string Wrap(std::string_view text, size_t indent, size_t width) {
  std::string wrapped;
  size_t column = indent;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const size_t columns = Columns(word);
    if (column > indent && column + 1 + columns > width) {
      wrapped += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      wrapped += ' ';
      ++column;
    }
    wrapped += word;
    column += columns;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return wrapped;
}

std::string Harmless(std::string_view text) {
  std::string harmless;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    harmless += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
  return harmless;
}

}  // namespace gpuhost::node_validator
