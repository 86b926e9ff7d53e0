// SPDX-License-Identifier: Apache-2.0
//
// Strict number parsing: the whole text or nothing, no sign, no blanks, no locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gpuhost {

// Decimal digits only, at most `max`.
std::optional<uint64_t> ParseDecimal(std::string_view text, uint64_t max = UINT64_MAX);

// Hexadecimal digits only (no 0x), at most `max`.
std::optional<uint64_t> ParseHex(std::string_view text, uint64_t max = UINT64_MAX);

// "0x" followed by hexadecimal digits, as sysfs prints PCI ids and resource lines.
std::optional<uint64_t> ParsePrefixedHex(std::string_view text, uint64_t max = UINT64_MAX);

}  // namespace gpuhost
