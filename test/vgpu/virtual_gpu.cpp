// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/virtual_gpu.h"

#include <algorithm>

#include "test/vgpu/emem_port.h"
#include "test/vgpu/mnoc_port.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint16_t kCcDevtools = 6, kCcMode = 8, kDecoupler = 10, kPpcie = 45;
// What must be off while CC or protected PCIe is on.
constexpr uint16_t kFeatures[] = {2, 4, 34};
constexpr uint16_t kDecouplerOn = 2;
constexpr Duration kSilence = std::chrono::milliseconds(100);  // after a reset nothing answers

constexpr uint32_t kSecurityFault = 0xbadf0200, kFaultBits = 1u << 4 | 1u << 11;
constexpr uint32_t kModeFault = 0xbadf5620, kFaultAfterWake = 0xbadf1001;
constexpr uint32_t kDecoupledFault = 0xbadf5040;
constexpr uint32_t kC2cStatus = 0x1498;
// The kernel polls a device for 65.5 s after a function-level reset, then it tries the others.
constexpr Duration kKernelGivesUp = std::chrono::milliseconds(65535);
constexpr Duration kSlowReset = std::chrono::seconds(100);

std::unique_ptr<FspPortModel> MakePort(FspPort kind, KnobStore& knobs, const FspWorld& world) {
  switch (kind) {
    case FspPort::kEmem:
      return std::make_unique<EmemPort>(knobs, world);
    case FspPort::kMnoc:
      return std::make_unique<MnocPort>(knobs, world);
    case FspPort::kNone:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

VirtualGpu::VirtualGpu(const Board& board, Clock& clock, Duration boot_time, uint64_t seed)
    : board_(board),
      clock_(clock),
      boot_time_(boot_time),
      config_(board),
      knobs_([this](Fault fault) { return Has(fault); },
             [this](const std::string& rule) { Breach(rule); }, !board.is_blackwell),
      fsp_(MakePort(board.fsp, knobs_,
                    {.clock = clock,
                     .has_fault = [this](Fault fault) { return Has(fault); },
                     .runs = [this] { return Booted(); },
                     .breach = [this](const std::string& rule) { Breach(rule); },
                     .seed = seed})),
      reset_at_(clock.Now() - std::chrono::hours(1)) {}

void VirtualGpu::Set(Fault fault, bool on) {
  const std::lock_guard lock(mutex_);
  if (on)
    faults_.insert(fault);
  else
    faults_.erase(fault);
  if (on && fault == Fault::kAsleepD3hot) config_.EnterD3hot();
  if (on && fault == Fault::kAsleepD3hot) slept_ = true;
  if (on && fault == Fault::kStaleQueue && fsp_) fsp_->LeaveStale();
  if (on && fault == Fault::kStaleError && fsp_) fsp_->LeaveStaleError();
  if (fault == Fault::kNoFlr) config_.OfferFlr(!on);
}

uint32_t VirtualGpu::ReadConfig(uint32_t offset, uint32_t size) {
  const std::lock_guard lock(mutex_);
  ++counters_.config_reads;
  if (OffTheBus() || Has(Fault::kConfigLost))
    return kAllOnes >> (32 - 8 * std::clamp(size, 1u, 4u));
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

absl::Status VirtualGpu::FunctionLevelReset(Duration limit, bool others) {
  const std::lock_guard lock(mutex_);
  Reset();
  if (Has(Fault::kResetHangs)) {
    if (limit != Duration::max()) clock_.SleepFor(limit);
    return absl::DeadlineExceededError("the reset hangs");
  }
  if (!Has(Fault::kSlowReset)) return absl::OkStatus();
  const Duration needed = others ? kSlowReset : kKernelGivesUp;
  clock_.SleepFor(std::min(limit, needed));
  if (limit < needed) return absl::DeadlineExceededError("the reset hangs");
  reset_at_ = clock_.Now();
  return others ? absl::OkStatus() : absl::UnknownError("Inappropriate ioctl for device");
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
  slept_ = false;
  CheckDecoupler();
  if (!Has(Fault::kResetNoLatch)) Latch();
}

void VirtualGpu::Latch() {
  decoupled_ = knobs_.knob(kDecoupler) == kDecouplerOn;
  const bool ppcie = knobs_.knob(kPpcie) != 0, cc = knobs_.knob(kCcMode) != 0;
  leaks_ = std::ranges::any_of(kFeatures, [this](uint16_t id) { return knobs_.knob(id) != 0; });
  if (board_.is_switch) {
    mode_word_ = ppcie ? 1 : 0;
  } else {
    mode_word_ = (cc ? 1u : 0u) | (knobs_.knob(kCcDevtools) != 0 ? 2u : 0u) | (ppcie ? 0x20u : 0u) |
                 (board_.is_blackwell && decoupled_ ? 4u : 0u);
  }
}

// On with CC and with protected PCIe, else off. Blackwell's is a setting of its own.
void VirtualGpu::CheckDecoupler() {
  if (!knobs_.TakeWritten() || board_.is_blackwell) return;
  const bool cc = knobs_.knob(kCcMode) != 0 && knobs_.knob(kCcDevtools) == 0;
  const bool wanted = !board_.is_switch && (cc || knobs_.knob(kPpcie) != 0);
  const uint16_t found = knobs_.knob(kDecoupler);
  if (found != (wanted ? kDecouplerOn : 0)) {
    Breach("the decoupler knob is " + std::to_string(found) + " when the mode takes effect");
  }
}

void VirtualGpu::Breach(const std::string& rule) {
  if (on_breach_)
    on_breach_(rule);
  else
    breaches_.push_back(rule);
}

uint32_t VirtualGpu::ReadRegister(uint32_t offset) {
  if (clock_.Now() - reset_at_ < kSilence) return kAllOnes;
  if (Has(Fault::kSecurityFault) && counters_.resets > 0) return kSecurityFault;
  if (Has(Fault::kFaultAfterWake) && slept_) return kFaultAfterWake;
  if (const auto fixed = fixed_.find(offset); fixed != fixed_.end()) return fixed->second;
  const bool in_recovery = Has(Fault::kRecovery);
  if (offset == 0) {
    if (in_recovery && !board_.is_blackwell) return 0;
    return board_.boot_identity + (Has(Fault::kReplaced) && counters_.resets > 0 ? 1 : 0);
  }
  if (board_.boot_status == 0) return 0;  // a chip whose registers are not modelled
  if (offset == board_.boot_status) return Booted() ? 0xff : 0;
  if (offset == board_.mode) {
    if (Has(Fault::kModeFault)) return kModeFault;
    return Booted() ? mode_word_ | (board_.coupled_cc ? 1u << 8 : 0) : 0;
  }
  if (offset == board_.recovery) return !in_recovery ? 0 : board_.is_blackwell ? 5 : 1u << 30;
  if (board_.coupled && offset == kC2cStatus) return Has(Fault::kLinkDown) ? 0 : 0xff;
  if (fsp_ && fsp_->Owns(offset)) return fsp_->Read(offset);
  return ReadOther(offset);
}

uint32_t VirtualGpu::ReadOther(uint32_t offset) const {
  switch (offset) {  // sizes of the FSP's memories, which NVIDIA's tool reads
    case 0x8f0abc:
      return 32;
    case 0x8f012c:
      return 1u << 8 | 1u << 12;
    case 0x8f0278:
      return 64 | 64u << 16;
    case 0x8f00f4:
      return 1u << 10;
    case 0x8f0320:  // what the FSP leaves on failure
    case 0x8f0324:
    case 0x8f0328:
    case 0x8f032c:
      return 0;
    default:
      return decoupled_ && !board_.is_switch ? kDecoupledFault : 0;
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

bool VirtualGpu::sealed() const {
  const std::lock_guard lock(mutex_);
  const uint32_t mode = mode_word_ & 0x23;
  const bool on = board_.is_switch ? mode == 1 : mode == 1 || mode == 0x20;
  const bool has_guards = !board_.is_blackwell;
  return on && (!has_guards || !leaks_) && (!has_guards || board_.is_switch || decoupled_);
}

void VirtualGpu::SetRegister(uint32_t offset, uint32_t value) {
  const std::lock_guard lock(mutex_);
  fixed_[offset] = value;
}

std::vector<std::string> VirtualGpu::Breaches() const {
  const std::lock_guard lock(mutex_);
  return breaches_;
}

void VirtualGpu::OnBreach(std::function<void(const std::string&)> then) {
  const std::lock_guard lock(mutex_);
  on_breach_ = std::move(then);
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
