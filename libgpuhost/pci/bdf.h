// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace gpuhost::pci {

// Address of a PCI function, written as the kernel writes it: "0000:41:00.0". Domains above 0xffff
// exist (VMD controllers) and print with more digits.
struct Bdf {
  uint32_t domain = 0;
  uint8_t bus = 0;
  uint8_t device = 0;    // 0 ... 31
  uint8_t function = 0;  // 0 ... 7

  // kInvalidArgument unless `text` is exactly what ToString would print.
  static absl::StatusOr<Bdf> Parse(std::string_view text);
  std::string ToString() const;

  auto operator<=>(const Bdf&) const = default;
};

}  // namespace gpuhost::pci

template <>
struct fmt::formatter<gpuhost::pci::Bdf> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const gpuhost::pci::Bdf& bdf, Context& context) const {
    return fmt::formatter<std::string>::format(bdf.ToString(), context);
  }
};
