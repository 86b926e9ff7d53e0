// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/fsp_emem.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::gpu {
namespace {

// NV_PFSP_EMEMC/EMEMD, QUEUE_HEAD/TAIL and MSGQ_HEAD/TAIL of channel 2. Queue pointers are byte
// offsets into EMEM; tail points at the last word of a message, head at its first.
constexpr uint32_t kChannel = 2;
constexpr uint32_t kControl = 0x8f2ac0 + 8 * kChannel;
constexpr uint32_t kData = 0x8f2ac4 + 8 * kChannel;
constexpr uint32_t kQueueHead = 0x8f2c00 + 8 * kChannel;
constexpr uint32_t kQueueTail = 0x8f2c04 + 8 * kChannel;
constexpr uint32_t kMessageHead = 0x8f2c80 + 8 * kChannel;
constexpr uint32_t kMessageTail = 0x8f2c84 + 8 * kChannel;

constexpr uint32_t kSize = 1024;  // bytes of EMEM per channel
constexpr uint32_t kBase = kChannel * kSize;
constexpr uint32_t kIncrementOnWrite = 1u << 24;
constexpr uint32_t kIncrementOnRead = 1u << 25;

constexpr Duration kPoll = std::chrono::microseconds(500);
constexpr Duration kTakeLimit = std::chrono::seconds(1);
constexpr Duration kAnswerLimit = std::chrono::seconds(5);

}  // namespace

absl::StatusOr<bool> FspEmem::IsEmpty(uint32_t head, uint32_t tail) {
  GPUHOST_ASSIGN(const uint32_t h, registers_.Read32(head));
  GPUHOST_ASSIGN(const uint32_t t, registers_.Read32(tail));
  return h == t;
}

absl::Status FspEmem::Initialize() {
  // A request that is still on its way gets the time to be answered; the answer is then dropped.
  GPUHOST_ASSIGN(const bool idle, IsEmpty(kQueueHead, kQueueTail));
  if (!idle) {
    const absl::Status taken =
        PollUntil(clock_, kAnswerLimit, kPoll, [this] { return IsEmpty(kQueueHead, kQueueTail); });
    if (!taken.ok() && !absl::IsDeadlineExceeded(taken)) return taken;
  }
  for (const uint32_t pointer : {kQueueTail, kQueueHead, kMessageTail, kMessageHead}) {
    GPUHOST_TRY(registers_.Write32(pointer, kBase));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> FspEmem::Exchange(std::span<const uint32_t> packet) {
  GPUHOST_TRY(Send(packet));
  return Receive();
}

absl::Status FspEmem::Send(std::span<const uint32_t> packet) {
  if (packet.empty() || packet.size_bytes() > kSize) {
    return Error(absl::StatusCode::kInvalidArgument, "FSP request of {} bytes",
                 packet.size_bytes());
  }
  const absl::Status free =
      PollUntil(clock_, kTakeLimit, kPoll, [this] { return IsEmpty(kQueueHead, kQueueTail); });
  if (absl::IsDeadlineExceeded(free)) {
    return absl::DeadlineExceededError(
        "FSP does not take requests; power off the virtual machine that uses the GPU, or reset it");
  }
  GPUHOST_TRY(free);
  GPUHOST_TRY(registers_.Write32(kControl, kBase | kIncrementOnWrite | kIncrementOnRead));
  for (const uint32_t word : packet) GPUHOST_TRY(registers_.Write32(kData, word));
  const uint32_t last = kBase + 4 * (static_cast<uint32_t>(packet.size()) - 1);
  GPUHOST_TRY(registers_.Write32(kQueueTail, last));
  // The write of the head is what wakes the FSP, so it comes last.
  return registers_.Write32(kQueueHead, kBase);
}

absl::StatusOr<std::vector<uint32_t>> FspEmem::Receive() {
  uint32_t head = 0, tail = 0;
  const absl::Status answered =
      PollUntil(clock_, kAnswerLimit, kPoll, [&]() -> absl::StatusOr<bool> {
        GPUHOST_ASSIGN(head, registers_.Read32(kMessageHead));
        GPUHOST_ASSIGN(tail, registers_.Read32(kMessageTail));
        return head != tail;
      });
  if (absl::IsDeadlineExceeded(answered)) {
    return Error(absl::StatusCode::kDeadlineExceeded,
                 "FSP did not answer within {:.0f} s; reset the GPU and try again",
                 Seconds(kAnswerLimit));
  }
  GPUHOST_TRY(answered);

  const bool sane = head == kBase && tail > head && tail < kBase + kSize && tail % 4 == 0;
  std::vector<uint32_t> words;
  if (sane) {
    GPUHOST_TRY(registers_.Write32(kControl, kBase | kIncrementOnWrite | kIncrementOnRead));
    for (uint32_t offset = head; offset <= tail; offset += 4) {
      GPUHOST_ASSIGN(const uint32_t word, registers_.Read32(kData));
      words.push_back(word);
    }
  }
  // Also a senseless answer is taken off the queue, or no later one would get through.
  GPUHOST_TRY(registers_.Write32(kMessageTail, head));
  if (sane) return words;
  return Error(absl::StatusCode::kDataLoss,
               "FSP message queue has head {:#x} and tail {:#x}; reset the GPU and try again", head,
               tail);
}

}  // namespace gpuhost::gpu
