// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/config_space.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {
namespace {

constexpr off_t kCapabilityPointer = 0x34;
constexpr int kMaxCapabilities = 48;  // what fits into 256 bytes; a longer list is a loop

}  // namespace

ConfigSpace::ConfigSpace(HostFs& fs, const Bdf& bdf) : fs_(fs), path_(SysfsPath(bdf, "config")) {}

absl::StatusOr<uint8_t> ConfigSpace::Read8(off_t offset) const {
  GPUHOST_ASSIGN(const std::string bytes, fs_.ReadAt(path_, offset, 1));
  return static_cast<uint8_t>(bytes[0]);
}

absl::StatusOr<uint16_t> ConfigSpace::Read16(off_t offset) const {
  GPUHOST_ASSIGN(const std::string bytes, fs_.ReadAt(path_, offset, 2));
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1])
                                                                    << 8);
}

absl::Status ConfigSpace::Write16(off_t offset, uint16_t value) {
  const char bytes[] = {static_cast<char>(value & 0xff), static_cast<char>(value >> 8)};
  return fs_.WriteAt(path_, offset, std::string_view(bytes, sizeof bytes));
}

absl::StatusOr<std::optional<off_t>> ConfigSpace::FindCapability(uint8_t id) const {
  GPUHOST_ASSIGN(uint8_t offset, Read8(kCapabilityPointer));
  for (int i = 0; i < kMaxCapabilities && offset != 0 && offset != 0xff; ++i) {
    GPUHOST_ASSIGN(const uint16_t header, Read16(offset));
    if ((header & 0xff) == id) return std::optional<off_t>(offset);
    offset = static_cast<uint8_t>(header >> 8);
  }
  return std::optional<off_t>();
}

}  // namespace gpuhost::pci
