// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/virtual_gpu.h"

#include <algorithm>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint16_t kCcDevtools = 6, kCcMode = 8, kPpcie = 45;
constexpr Duration kSilence = std::chrono::milliseconds(100);  // after a reset nothing answers

}  // namespace

VirtualGpu::VirtualGpu(const Board& board, Clock& clock, Duration boot_time)
    : board_(board),
      clock_(clock),
      boot_time_(boot_time),
      config_(board),
      fsp_([this](Fault fault) { return Has(fault); }),
      reset_at_(clock.Now() - std::chrono::hours(1)) {}

void VirtualGpu::Set(Fault fault, bool on) {
  const std::lock_guard lock(mutex_);
  if (on)
    faults_.insert(fault);
  else
    faults_.erase(fault);
  if (on && fault == Fault::kAsleepD3hot) config_.EnterD3hot();
  if (on && fault == Fault::kStaleQueue) fsp_.LeaveStale();
  if (fault == Fault::kNoFlr) config_.OfferFlr(!on);
}

uint32_t VirtualGpu::ReadConfig(uint32_t offset, uint32_t size) {
  const std::lock_guard lock(mutex_);
  ++counters_.config_reads;
  if (OffTheBus()) return kAllOnes >> (32 - 8 * std::clamp(size, 1u, 4u));
  return config_.Read(offset, size);
}

void VirtualGpu::WriteConfig(uint32_t offset, uint32_t size, uint32_t value) {
  const std::lock_guard lock(mutex_);
  ++counters_.config_writes;
  if (!OffTheBus() && config_.Write(offset, size, value)) Reset();
}

uint32_t VirtualGpu::ReadBar0(uint32_t offset) {
  const std::lock_guard lock(mutex_);
  ++counters_.bar_reads;
  return Answers() ? ReadRegister(offset) : kAllOnes;
}

void VirtualGpu::WriteBar0(uint32_t offset, uint32_t value) {
  const std::lock_guard lock(mutex_);
  ++counters_.bar_writes;
  if (forbid_writes_) {
    ++counters_.violations;
    return;
  }
  if (Answers() && board_.boot_status != 0 && Fsp::Owns(offset)) fsp_.Write(offset, value);
}

uint32_t VirtualGpu::bar0() const {
  const std::lock_guard lock(mutex_);
  return config_.bar(0);
}

absl::Status VirtualGpu::FunctionLevelReset() {
  const std::lock_guard lock(mutex_);
  Reset();
  if (Has(Fault::kResetHangs)) return absl::DeadlineExceededError("the reset hangs");
  return absl::OkStatus();
}

void VirtualGpu::BusReset() {
  const std::lock_guard lock(mutex_);
  if (config_.bar(0) == 0) return;
  config_.Reset();
  Reset();
}

bool VirtualGpu::OffTheBus() const {
  return Has(Fault::kDead) || (Has(Fault::kResetHangs) && counters_.resets > 0);
}

bool VirtualGpu::Answers() const {
  const bool died = Has(Fault::kDeadAfterReset) && counters_.resets > 0;
  return !OffTheBus() && !died && config_.DecodesMemory() && config_.InD0();
}

bool VirtualGpu::Booted() const {
  const Duration needed = boot_time_ * (Has(Fault::kSlowBoot) ? 4 : 1);
  const Duration since = clock_.Now() - reset_at_;
  return since >= needed && !(Has(Fault::kNeverBoots) && counters_.resets > 0);
}

void VirtualGpu::Reset() {
  ++counters_.resets;
  reset_at_ = clock_.Now();
  fsp_.Reset();
  if (Has(Fault::kResetNoLatch)) return;
  const bool ppcie = fsp_.knob(kPpcie) != 0;
  if (board_.is_switch) {
    mode_word_ = ppcie ? 1 : 0;
    return;
  }
  mode_word_ = (fsp_.knob(kCcMode) != 0 ? 1u : 0u) | (fsp_.knob(kCcDevtools) != 0 ? 2u : 0u) |
               (ppcie ? 0x20u : 0u);
}

uint32_t VirtualGpu::ReadRegister(uint32_t offset) {
  if (clock_.Now() - reset_at_ < kSilence) return kAllOnes;
  if (offset == 0) return Has(Fault::kRecovery) ? 0 : board_.boot_identity;
  if (board_.boot_status == 0) return 0;  // a chip whose registers are not modelled
  if (offset == board_.boot_status) return Booted() ? 0xff : 0;
  if (offset == board_.mode) return Booted() ? mode_word_ : 0;
  if (offset == board_.recovery) return Has(Fault::kRecovery) ? 1u << 30 : 0;
  if (Fsp::Owns(offset)) return fsp_.Read(offset);
  switch (offset) {  // sizes of the FSP's memories, which NVIDIA's tool reads
    case 0x8f0abc:
      return 32;
    case 0x8f012c:
      return 1u << 8 | 1u << 12;
    case 0x8f0278:
      return 64 | 64u << 16;
    case 0x8f00f4:
      return 1u << 10;
    default:
      return 0;
  }
}

uint16_t VirtualGpu::knob(uint16_t id) const {
  const std::lock_guard lock(mutex_);
  return fsp_.knob(id);
}

void VirtualGpu::SetKnob(uint16_t id, uint16_t value) {
  const std::lock_guard lock(mutex_);
  fsp_.SetKnob(id, value);
}

uint32_t VirtualGpu::mode_word() const {
  const std::lock_guard lock(mutex_);
  return mode_word_;
}

VirtualGpu::Counters VirtualGpu::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void VirtualGpu::ForbidBarWrites(bool forbid) {
  const std::lock_guard lock(mutex_);
  forbid_writes_ = forbid;
}

}  // namespace gpuhost::vgpu
