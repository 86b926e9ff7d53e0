// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/config_space.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kCommand = 0x04, kStatus = 0x06, kBar0 = 0x10, kBar1 = 0x14;
constexpr uint32_t kInterruptLine = 0x3c;
constexpr uint32_t kPower = 0x40, kPmcsr = kPower + 4;
constexpr uint32_t kExpress = 0x60, kDeviceCapabilities = kExpress + 4;
constexpr uint32_t kDeviceControl = kExpress + 8;

constexpr uint32_t kMemorySpace = 1u << 1, kPowerState = 3;
constexpr uint32_t kFlrCapable = 1u << 28;
constexpr uint32_t kFlrByte = kDeviceControl + 1, kStartFlr = 0x80;
constexpr uint32_t kBar1Size = 1u << 20;

constexpr uint32_t kErrorReporting = 0x100;  // the first extended capability
constexpr uint32_t kErrorReportingId = 0x0001, kVsecId = 0x000b, kDvsecId = 0x0023;

}  // namespace

ConfigSpace::ConfigSpace(const Board& board) : board_(board) {
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

  const uint32_t vendor = board.vendor_structure;
  Put(kErrorReporting, 4, kErrorReportingId | 2u << 16 | vendor << 20);
  if (vendor != 0) {
    Put(vendor, 4, (board.designated ? kDvsecId : kVsecId) | 1u << 16);
    Put(vendor + 4, 4, board.designated ? 0x018010de : 0x01810001);
  }

  Allow(kCommand, 2, 0x0547);
  Allow(kBar0, 4, ~(board.bar0_size - 1));
  Allow(kBar1, 4, ~(kBar1Size - 1));
  Allow(kInterruptLine, 1, 0xff);
  Allow(kPmcsr, 2, kPowerState);
  Allow(kDeviceControl, 2, 0x7fff);
}

void ConfigSpace::Put(uint32_t offset, uint32_t size, uint32_t value) {
  for (uint32_t i = 0; i < size; ++i) bytes_[offset + i] = static_cast<uint8_t>(value >> (8 * i));
}

void ConfigSpace::Allow(uint32_t offset, uint32_t size, uint32_t mask) {
  for (uint32_t i = 0; i < size; ++i) writable_[offset + i] = static_cast<uint8_t>(mask >> (8 * i));
}

uint32_t ConfigSpace::Read(uint32_t offset, uint32_t size) const {
  uint32_t value = 0;
  for (uint32_t i = 0; i < size && i < 4 && offset + i < kSize; ++i) {
    value |= uint32_t{bytes_[offset + i]} << (8 * i);
  }
  return value;
}

bool ConfigSpace::Write(uint32_t offset, uint32_t size, uint32_t value) {
  for (uint32_t i = 0; i < size && i < 4 && offset + i < kSize; ++i) {
    uint8_t& byte = bytes_[offset + i];
    const uint8_t mask = writable_[offset + i];
    byte = static_cast<uint8_t>((byte & ~mask) | (value >> (8 * i) & mask));
  }
  const bool starts_flr = offset <= kFlrByte && kFlrByte < offset + size &&
                          (value >> (8 * (kFlrByte - offset)) & kStartFlr) != 0;
  return starts_flr && (Read(kDeviceCapabilities, 4) & kFlrCapable) != 0;
}

void ConfigSpace::Reset() {
  for (const uint32_t offset : {kBar0, kBar1}) Put(offset, 4, 0);
  Put(kCommand, 2, 0);
  Put(kDeviceControl, 2, 0);
  Put(kPmcsr, 1, bytes_[kPmcsr] & ~kPowerState);
}

uint32_t ConfigSpace::bar(uint32_t index) const { return Read(kBar0 + 4 * index, 4); }
bool ConfigSpace::DecodesMemory() const { return (bytes_[kCommand] & kMemorySpace) != 0; }
bool ConfigSpace::InD0() const { return (bytes_[kPmcsr] & kPowerState) == 0; }
void ConfigSpace::EnterD3hot() { Put(kPmcsr, 1, bytes_[kPmcsr] | kPowerState); }

void ConfigSpace::OfferFlr(bool offered) {
  const uint32_t others = Read(kDeviceCapabilities, 4) & ~kFlrCapable;
  Put(kDeviceCapabilities, 4, others | (offered ? kFlrCapable : 0));
}

void ConfigSpace::SetFirewall(bool closed) {
  if (board_.firewall_word == 0) return;
  const uint32_t offset = board_.vendor_structure + board_.firewall_word;
  const uint32_t others = Read(offset, 4) & ~board_.firewall_bit;
  Put(offset, 4, others | (closed ? board_.firewall_bit : 0));
}

void ConfigSpace::SetFaults(uint32_t bits) {
  if (board_.vendor_structure != 0) Put(board_.vendor_structure + board_.fault_word, 4, bits);
}

}  // namespace gpuhost::vgpu
