// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/boot.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/checked.h"

namespace gpuhost::gpu {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(10);
constexpr Duration kUnseenFirewall = std::chrono::seconds(3);
constexpr uint32_t kFspStatus = 0x8f0320;  // four scratch words that the FSP leaves on failure

// A flag that cannot be read says nothing; then the boot status decides.
bool IsInRecovery(const Layout& layout, uint32_t flags) {
  if (flags == kAllOnes || IsFault(flags)) return false;
  switch (layout.recovery_flag) {
    case RecoveryFlag::kBit30:
      return (flags & kRecoveryBit) != 0;
    case RecoveryFlag::kLowByte:
      return (flags & 0xff) > 1;
  }
  return false;
}

// The word `offset` bytes into the vendor's structure; empty where it cannot be seen.
absl::StatusOr<std::optional<uint32_t>> VendorWord(const pci::ConfigSpace& config,
                                                   const VendorWords& vendor, uint16_t offset) {
  GPUHOST_ASSIGN(const auto structure, config.FindVendorStructure(vendor.structure));
  if (!structure) return std::optional<uint32_t>();
  GPUHOST_ASSIGN(const uint32_t word, config.Read32(*structure + offset));
  return std::optional<uint32_t>(word);
}

absl::Status NotBooted(const BootView& view) {
  GPUHOST_ASSIGN(const uint32_t status, view.registers.Read32(view.layout.boot_status));
  std::string words;
  for (uint32_t i = 0; i < 4; ++i) {
    GPUHOST_ASSIGN(const uint32_t word, view.registers.Read32(kFspStatus + 4 * i));
    words += fmt::format(" {:#010x}", word);
  }
  return Error(absl::StatusCode::kDeadlineExceeded,
               "firmware has not booted after {:.0f} s (boot status {:#010x}, FSP status{}); "
               "power-cycle the machine",
               Seconds(view.layout.boot_limit), status, words);
}

}  // namespace

absl::StatusOr<Bar0State> LookAtBar0(const pci::ConfigSpace& config, const Layout& layout) {
  if (!layout.vendor || layout.vendor->firewall == 0) return Bar0State::kOpen;
  GPUHOST_ASSIGN(const auto word, VendorWord(config, *layout.vendor, layout.vendor->firewall));
  if (!word) return Bar0State::kUnknown;
  return (*word & layout.vendor->firewall_bit) != 0 ? Bar0State::kClosed : Bar0State::kOpen;
}

absl::Status WaitForBar0(const pci::ConfigSpace& config, const Layout& layout, Clock& clock) {
  bool seen = true;
  const absl::Status opened =
      PollUntil(clock, layout.boot_limit, kPoll, [&]() -> absl::StatusOr<bool> {
        GPUHOST_ASSIGN(const Bar0State state, LookAtBar0(config, layout));
        seen = state != Bar0State::kUnknown;
        return state != Bar0State::kClosed;
      });
  if (absl::IsDeadlineExceeded(opened)) {
    return Error(opened.code(),
                 "firmware keeps BAR0 closed after {:.0f} s{}; power-cycle the machine",
                 Seconds(layout.boot_limit), DescribeFaults(config, layout));
  }
  if (opened.ok() && !seen) clock.SleepFor(kUnseenFirewall);
  return opened;
}

absl::Status CheckAlive(const BootView& view) {
  GPUHOST_ASSIGN(const uint32_t identity, view.registers.Read32(kBootIdentity));
  if (identity == kAllOnes) {
    return absl::UnavailableError(
        "does not answer (BAR0 reads all ones): it fell off the bus or hangs; reset or power-cycle "
        "the machine");
  }
  if (IsFault(identity)) {
    return Error(absl::StatusCode::kDataLoss, "answers with {} {:#010x}{}; power-cycle the machine",
                 IsSecurityFault(identity) ? "security fault" : "fault", identity,
                 DescribeFaults(view.config, view.layout));
  }
  GPUHOST_ASSIGN(const uint32_t flags, view.registers.Read32(view.layout.recovery));
  if (identity == 0 || IsInRecovery(view.layout, flags)) {
    return absl::FailedPreconditionError("is in recovery mode; its firmware must be flashed again");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HasBooted(const BootView& view) {
  GPUHOST_ASSIGN(const uint32_t status, view.registers.Read32(view.layout.boot_status));
  return status != kAllOnes && !IsFault(status) && (status & kBootDone) == kBootDone;
}

absl::Status WaitForBoot(const BootView& view, Clock& clock) {
  const absl::Status booted =
      PollUntil(clock, view.layout.boot_limit, kPoll, [&] { return HasBooted(view); });
  const absl::Status alive = CheckAlive(view);
  if (absl::IsDeadlineExceeded(booted)) return alive.ok() ? NotBooted(view) : alive;
  GPUHOST_TRY(booted);
  GPUHOST_TRY(alive);
  if (!view.coupled) return absl::OkStatus();
  GPUHOST_ASSIGN(const uint32_t link, view.registers.Read32(kC2cStatus));
  if (link == kC2cUp) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "link to its CPU is not up (NVLink-C2C status {:#010x}); power-cycle the machine",
               link);
}

std::string DescribeFaults(const pci::ConfigSpace& config, const Layout& layout) {
  if (!layout.vendor) return "";
  const auto word = VendorWord(config, *layout.vendor, layout.vendor->fault);
  if (!word.ok() || !*word || **word == 0 || **word == kAllOnes) return "";
  std::string text;
  for (uint32_t bit = 0; bit < layout.vendor->fault_names.size(); ++bit) {
    const std::string_view name = layout.vendor->fault_names[bit];
    if ((**word >> bit & 1) != 0 && !name.empty()) text += fmt::format(", {}", name);
  }
  return fmt::format(" ({:#010x}{})", **word, text);
}

}  // namespace gpuhost::gpu
