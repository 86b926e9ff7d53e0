// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/config_space.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {
namespace {

constexpr off_t kCapabilityPointer = 0x34;
constexpr int kMaxCapabilities = 48;  // what fits into 256 bytes; a longer list is a loop
constexpr off_t kExtended = 0x100;
constexpr int kMaxExtended = (4096 - kExtended) / 8;
constexpr uint32_t kVsecId = 0x000b, kDvsecId = 0x0023;
constexpr uint32_t kNvidiaVsec = 1 | 1u << 16;  // id 15:0, revision 19:16

}  // namespace

ConfigSpace::ConfigSpace(HostFs& fs, const Bdf& bdf, std::optional<Duration> read_limit)
    : fs_(fs), path_(SysfsPath(bdf, "config")), read_limit_(read_limit) {}

absl::StatusOr<std::string> ConfigSpace::Read(off_t offset, size_t count) const {
  return read_limit_ ? fs_.ReadAtWithin(*read_limit_, path_, offset, count)
                     : fs_.ReadAt(path_, offset, count);
}

absl::StatusOr<uint8_t> ConfigSpace::Read8(off_t offset) const {
  GPUHOST_ASSIGN(const std::string bytes, Read(offset, 1));
  return static_cast<uint8_t>(bytes[0]);
}

absl::StatusOr<uint16_t> ConfigSpace::Read16(off_t offset) const {
  GPUHOST_ASSIGN(const std::string bytes, Read(offset, 2));
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1])
                                                                    << 8);
}

absl::StatusOr<uint32_t> ConfigSpace::Read32(off_t offset) const {
  GPUHOST_ASSIGN(const std::string bytes, Read(offset, 4));
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return value;
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

bool ConfigSpace::IsCutShort() const {
  constexpr off_t kUnprivileged = 64;
  return absl::IsOutOfRange(Read8(kUnprivileged).status());
}

absl::StatusOr<std::optional<off_t>> ConfigSpace::FindVendorStructure(VendorStructure kind) const {
  const uint32_t wanted = kind == VendorStructure::kVsec ? kVsecId : kDvsecId;
  off_t offset = kExtended;
  for (int i = 0; i < kMaxExtended && offset >= kExtended; ++i) {
    const auto header = Read32(offset);
    if (absl::IsOutOfRange(header.status())) break;
    if (!header.ok()) return header.status();
    if (*header == 0xffffffff) break;
    if ((*header & 0xffff) == wanted) {
      GPUHOST_ASSIGN(const uint32_t first, Read32(offset + 4));
      GPUHOST_ASSIGN(const uint32_t second, Read32(offset + 8));
      const bool ours = kind == VendorStructure::kVsec
                            ? (first & 0xfffff) == kNvidiaVsec
                            : (first & 0xffff) == kNvidia && (second & 0xffff) == 0;
      if (ours) return std::optional<off_t>(offset);
    }
    offset = *header >> 20 & 0xffc;
  }
  return std::optional<off_t>();
}

}  // namespace gpuhost::pci
