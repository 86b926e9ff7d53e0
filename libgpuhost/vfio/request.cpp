// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/request.h"

#include <algorithm>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {

absl::StatusOr<Pattern> Pattern::Parse(std::string_view text) {
  if (const auto bdf = pci::Bdf::Parse(text); bdf.ok()) return Pattern{.bdf = *bdf};
  const size_t colon = text.find(':');
  const auto vendor = ParseHex(text.substr(0, colon), 0xffff);
  const auto device =
      colon == std::string_view::npos ? std::nullopt : ParseHex(text.substr(colon + 1), 0xffff);
  if (!vendor || !device) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "'{}' is neither an address like 0000:41:00.0 nor ids like 10de:2331", text);
  }
  return Pattern{.vendor = static_cast<uint16_t>(*vendor),
                 .device = static_cast<uint16_t>(*device)};
}

bool Pattern::Matches(const pci::Device& other) const {
  return bdf ? *bdf == other.bdf : vendor == other.vendor && device == other.device;
}

bool MatchesAny(const std::vector<Pattern>& patterns, const pci::Device& device) {
  return std::ranges::any_of(patterns, [&](const Pattern& p) { return p.Matches(device); });
}

}  // namespace gpuhost::vfio
