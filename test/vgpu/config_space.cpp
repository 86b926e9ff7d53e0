// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/config_space.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kCommand = 0x04, kStatus = 0x06, kBar0 = 0x10, kInterruptLine = 0x3c;
constexpr uint32_t kPower = 0x40, kPmcsr = kPower + 4;
constexpr uint32_t kExpress = 0x60, kDeviceCapabilities = kExpress + 4;
constexpr uint32_t kDeviceControl = kExpress + 8;
constexpr uint32_t kFlrCapable = 1u << 28, kStartFlr = 1u << 15;
constexpr uint16_t kCommandWritable = 0x0547;

}  // namespace

ConfigSpace::ConfigSpace(const Board& board) {
  Put(0x00, 2, 0x10de);
  Put(0x02, 2, board.device);
  Put(kStatus, 2, 0x0010);  // has a capability list
  Put(0x08, 4, board.class_code << 8 | 0xa1);
  Put(0x2c, 2, 0x10de);
  Put(0x2e, 2, board.subsystem);
  Put(0x34, 1, kPower);
  Put(kPower, 4, 0x0003'0000u | kExpress << 8 | 0x01);  // power management, version 3
  Put(kPmcsr, 2, 0x0008);                               // no soft reset
  Put(kExpress, 4, 0x0002'0010);                        // PCI Express 2.0 endpoint, end of list
  Put(kDeviceCapabilities, 4, kFlrCapable | 1u << 15 | 1);
  Put(kExpress + 0x0c, 4, 0x02 | 16u << 4);  // link: 5 GT/s, 16 lanes
  Put(kExpress + 0x12, 2, 0x0102);
}

void ConfigSpace::Put(uint32_t offset, uint32_t size, uint32_t value) {
  for (uint32_t i = 0; i < size && offset + i < bytes_.size(); ++i) {
    bytes_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }
}

uint32_t ConfigSpace::Read(uint32_t offset, uint32_t size) const {
  uint32_t value = 0;
  for (uint32_t i = 0; i < size && i < 4 && offset + i < bytes_.size(); ++i) {
    value |= uint32_t{bytes_[offset + i]} << (8 * i);
  }
  return value;
}

bool ConfigSpace::Write(uint32_t offset, uint32_t size, uint32_t value) {
  if (size == 4 && (offset == kBar0 || offset == kBar0 + 4)) {
    const size_t index = (offset - kBar0) / 4;
    bars_[index] = value & ~((index == 0 ? kBar0Size : kBar1Size) - 1);
    Put(offset, 4, bars_[index]);
  } else if (offset == kCommand) {
    Put(kCommand, 2, value & kCommandWritable);
  } else if (offset == kInterruptLine) {
    Put(kInterruptLine, 1, value);
  } else if (offset == kPmcsr) {
    Put(kPmcsr, 1, (bytes_[kPmcsr] & ~3u) | (value & 3));
  } else if (offset == kDeviceControl) {
    Put(kDeviceControl, 2, value & ~kStartFlr);
    return (value & kStartFlr) != 0 && (Read(kDeviceCapabilities, 4) & kFlrCapable) != 0;
  }
  return false;
}

bool ConfigSpace::DecodesMemory() const { return (bytes_[kCommand] & 2) != 0; }
bool ConfigSpace::InD0() const { return (bytes_[kPmcsr] & 3) == 0; }
void ConfigSpace::EnterD3hot() { Put(kPmcsr, 1, bytes_[kPmcsr] | 3u); }
void ConfigSpace::RemoveFlr() {
  Put(kDeviceCapabilities, 4, Read(kDeviceCapabilities, 4) & ~kFlrCapable);
}

}  // namespace gpuhost::vgpu
