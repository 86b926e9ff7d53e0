// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gpuhost {

// `text` in double quotes, as JSON, TOML (basic string) and YAML all read it back.
std::string Quoted(std::string_view text);

// `text` as at most `longest` bytes of UTF-8 without control characters: those, and what is no
// UTF-8, become '?'. No character is cut. For what travels in a protocol of lines.
std::string OneLine(std::string_view text, size_t longest);

}  // namespace gpuhost
