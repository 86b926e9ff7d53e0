// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gpuhost::node_validator {

enum class Colour { kNone, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// `text` in that colour, or as it is.
std::string Paint(bool on, Colour colour, std::string_view text);

// Columns that `text` takes: its characters, not its bytes.
size_t Columns(std::string_view text);

// At most `columns`, with an ellipsis where something is left out.
std::string Shorten(std::string_view text, size_t columns);

// Words of `text` in lines of at most `width` columns; each line but the first begins with `indent`
// blanks. A word that is too long has a line of its own.
std::string Wrap(std::string_view text, size_t indent, size_t width);

// Text of the node, without what could move a terminal's cursor.
std::string Harmless(std::string_view text);

}  // namespace gpuhost::node_validator
