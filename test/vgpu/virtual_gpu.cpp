// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/virtual_gpu.h"

#include <algorithm>

#include "test/vgpu/emem_port.h"
#include "test/vgpu/mnoc_port.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint16_t kCcDevtools = 6, kCcMode = 8, kPpcie = 45;
constexpr Duration kSilence = std::chrono::milliseconds(100);  // after a reset nothing answers

constexpr uint32_t kSecurityFault = 0xbadf0200, kFaultBits = 1u << 4 | 1u << 11;
constexpr uint32_t kC2cStatus = 0x1498;

std::unique_ptr<FspPortModel> MakePort(FspPort kind, KnobStore& knobs, HasFault has_fault) {
  switch (kind) {
    case FspPort::kEmem:
      return std::make_unique<EmemPort>(knobs, std::move(has_fault));
    case FspPort::kMnoc:
      return std::make_unique<MnocPort>(knobs, std::move(has_fault));
    case FspPort::kNone:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

VirtualGpu::VirtualGpu(const Board& board, Clock& clock, Duration boot_time)
    : board_(board),
      clock_(clock),
      boot_time_(boot_time),
      config_(board),
      knobs_([this](Fault fault) { return Has(fault); }, !board.is_blackwell),
      fsp_(MakePort(board.fsp, knobs_, [this](Fault fault) { return Has(fault); })),
      reset_at_(clock.Now() - std::chrono::hours(1)) {}

void VirtualGpu::Set(Fault fault, bool on) {
  const std::lock_guard lock(mutex_);
  if (on)
    faults_.insert(fault);
  else
    faults_.erase(fault);
  if (on && fault == Fault::kAsleepD3hot) config_.EnterD3hot();
  if (on && fault == Fault::kStaleQueue && fsp_) fsp_->LeaveStale();
  if (fault == Fault::kNoFlr) config_.OfferFlr(!on);
}

uint32_t VirtualGpu::ReadConfig(uint32_t offset, uint32_t size) {
  const std::lock_guard lock(mutex_);
  ++counters_.config_reads;
  if (OffTheBus()) return kAllOnes >> (32 - 8 * std::clamp(size, 1u, 4u));
  RefreshVendorWords();
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
  if (FirewallClosed()) {
    ++counters_.too_early;
    return kAllOnes;
  }
  return Answers() ? ReadRegister(offset) : kAllOnes;
}

void VirtualGpu::WriteBar0(uint32_t offset, uint32_t value) {
  const std::lock_guard lock(mutex_);
  ++counters_.bar_writes;
  if (forbid_writes_) {
    ++counters_.violations;
    return;
  }
  if (FirewallClosed()) {
    ++counters_.too_early;
    return;
  }
  if (Answers() && fsp_ && fsp_->Owns(offset)) fsp_->Write(offset, value);
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
  const bool died = (Has(Fault::kDeadAfterReset) && counters_.resets > 0) ||
                    (Has(Fault::kDeadOnce) && counters_.resets == 1);
  return !OffTheBus() && !died && config_.DecodesMemory() && config_.InD0();
}

bool VirtualGpu::Booted() const {
  const Duration needed = boot_time_ * (Has(Fault::kSlowBoot) ? 4 : 1);
  const Duration since = clock_.Now() - reset_at_;
  return since >= needed && !(Has(Fault::kNeverBoots) && counters_.resets > 0);
}

// Opens when half of the boot is over.
bool VirtualGpu::FirewallClosed() const {
  if (board_.firewall_word == 0 || counters_.resets == 0) return false;
  return Has(Fault::kFirewallStuck) || clock_.Now() - reset_at_ < boot_time_ / 2;
}

void VirtualGpu::RefreshVendorWords() {
  config_.SetFirewall(FirewallClosed());
  config_.SetFaults(Has(Fault::kSecurityFault) && counters_.resets > 0 ? kFaultBits : 0);
}

void VirtualGpu::Reset() {
  ++counters_.resets;
  reset_at_ = clock_.Now();
  if (fsp_) fsp_->Reset();
  if (Has(Fault::kResetNoLatch)) return;
  const bool ppcie = knobs_.knob(kPpcie) != 0;
  if (board_.is_switch) {
    mode_word_ = ppcie ? 1 : 0;
    return;
  }
  mode_word_ = (knobs_.knob(kCcMode) != 0 ? 1u : 0u) | (knobs_.knob(kCcDevtools) != 0 ? 2u : 0u) |
               (ppcie ? 0x20u : 0u);
}

uint32_t VirtualGpu::ReadRegister(uint32_t offset) {
  if (clock_.Now() - reset_at_ < kSilence) return kAllOnes;
  if (Has(Fault::kSecurityFault) && counters_.resets > 0) return kSecurityFault;
  const bool in_recovery = Has(Fault::kRecovery);
  if (offset == 0) return in_recovery && !board_.is_blackwell ? 0 : board_.boot_identity;
  if (board_.boot_status == 0) return 0;  // a chip whose registers are not modelled
  if (offset == board_.boot_status) return Booted() ? 0xff : 0;
  if (offset == board_.mode) {
    return Booted() ? mode_word_ | (board_.coupled_cc ? 1u << 8 : 0) : 0;
  }
  if (offset == board_.recovery) return !in_recovery ? 0 : board_.is_blackwell ? 5 : 1u << 30;
  if (board_.coupled && offset == kC2cStatus) return Has(Fault::kLinkDown) ? 0 : 0xff;
  if (fsp_ && fsp_->Owns(offset)) return fsp_->Read(offset);
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
  return knobs_.knob(id);
}

void VirtualGpu::SetKnob(uint16_t id, uint16_t value) {
  const std::lock_guard lock(mutex_);
  knobs_.SetKnob(id, value);
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
