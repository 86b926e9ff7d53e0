// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/bdf.h"

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::pci {

absl::StatusOr<Bdf> Bdf::Parse(std::string_view text) {
  // dddd:bb:dd.f, where only the domain may be longer.
  constexpr size_t kTail = std::string_view(":bb:dd.f").size();
  if (text.size() >= 4 + kTail) {
    const std::string_view domain = text.substr(0, text.size() - kTail);
    const std::string_view tail = text.substr(domain.size());
    const auto d = ParseHex(domain, UINT32_MAX);
    const auto bus = ParseHex(tail.substr(1, 2), 0xff);
    const auto device = ParseHex(tail.substr(4, 2), 31);
    const auto function = ParseHex(tail.substr(7, 1), 7);
    if (d && bus && device && function) {
      const Bdf bdf{static_cast<uint32_t>(*d), static_cast<uint8_t>(*bus),
                    static_cast<uint8_t>(*device), static_cast<uint8_t>(*function)};
      if (bdf.ToString() == text) return bdf;
    }
  }
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is not a PCI address; write it like 0000:41:00.0", text);
}

std::string Bdf::ToString() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

}  // namespace gpuhost::pci
