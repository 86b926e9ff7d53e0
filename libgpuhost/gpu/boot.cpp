// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/boot.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::gpu {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(10);
constexpr uint32_t kFspStatus = 0x8f0320;  // four scratch words that the FSP leaves on failure
constexpr uint32_t kDead = 0xffffffff;

bool IsFault(uint32_t value) { return value >> 16 == 0xbadf || value == 0xbad00200; }

}  // namespace

absl::Status CheckAlive(Registers& registers, const Layout& layout) {
  GPUHOST_ASSIGN(const uint32_t identity, registers.Read32(kBootIdentity));
  if (identity == kDead) {
    return absl::UnavailableError(
        "does not answer (BAR0 reads all ones): it fell off the bus or hangs; reset or power-cycle "
        "the machine");
  }
  if (IsFault(identity)) {
    return Error(absl::StatusCode::kDataLoss,
                 "answers with fault {:#010x}; power-cycle the machine", identity);
  }
  GPUHOST_ASSIGN(const uint32_t flags, registers.Read32(layout.recovery));
  if (identity == 0 || (flags != kDead && (flags & kRecoveryBit) != 0)) {
    return absl::FailedPreconditionError("is in recovery mode; its firmware must be flashed again");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HasBooted(Registers& registers, const Layout& layout) {
  GPUHOST_ASSIGN(const uint32_t status, registers.Read32(layout.boot_status));
  return status != kDead && !IsFault(status) && (status & kBootDone) == kBootDone;
}

absl::Status WaitForBoot(Registers& registers, const Layout& layout, Clock& clock) {
  const absl::Status booted =
      PollUntil(clock, layout.boot_limit, kPoll, [&] { return HasBooted(registers, layout); });
  const absl::Status alive = CheckAlive(registers, layout);
  if (!absl::IsDeadlineExceeded(booted)) return booted.ok() ? alive : booted;
  GPUHOST_TRY(alive);
  std::string words;
  for (uint32_t i = 0; i < 4; ++i) {
    GPUHOST_ASSIGN(const uint32_t word, registers.Read32(kFspStatus + 4 * i));
    words += fmt::format(" {:#010x}", word);
  }
  return Error(absl::StatusCode::kDeadlineExceeded,
               "firmware has not booted after {:.0f} s (FSP status{}); power-cycle the machine",
               Seconds(layout.boot_limit), words);
}

}  // namespace gpuhost::gpu
