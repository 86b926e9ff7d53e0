// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace gpuhost::sandbox_device_plugin {

// FNV-1a, 32 bits: the same on every machine and in every version, for names that must be cut.
constexpr uint32_t StableHash(std::string_view text) {
  uint32_t hash = 0x811c9dc5;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193u;
  return hash;
}

}  // namespace gpuhost::sandbox_device_plugin
