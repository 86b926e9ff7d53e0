// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/fsp_emem.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/checked.h"

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
constexpr Duration kOldRequestLimit = std::chrono::seconds(5);

}  // namespace

absl::StatusOr<FspEmem::Queue> FspEmem::ReadQueue(uint32_t head, uint32_t tail,
                                                  std::string_view name) {
  Queue queue;
  GPUHOST_ASSIGN(queue.head, ReadChecked(registers_, head, name));
  GPUHOST_ASSIGN(queue.tail, ReadChecked(registers_, tail, name));
  return queue;
}

absl::Status FspEmem::DropAnswer() {
  GPUHOST_ASSIGN(const Queue answer, ReadQueue(kMessageHead, kMessageTail, "FSP message queue"));
  return answer.Empty() ? absl::OkStatus() : registers_.Write32(kMessageTail, answer.head);
}

// The FSP takes no request while an answer waits to be fetched.
absl::Status FspEmem::AwaitTaken(Duration limit) {
  return PollUntil(clock_, limit, kPoll, [this]() -> absl::StatusOr<bool> {
    GPUHOST_TRY(DropAnswer());
    GPUHOST_ASSIGN(const Queue request, ReadQueue(kQueueHead, kQueueTail, "FSP request queue"));
    return request.Empty();
  });
}

absl::Status FspEmem::Initialize() {
  // A request of an earlier user that hangs there for ever is withdrawn.
  const absl::Status taken = AwaitTaken(kOldRequestLimit);
  if (!taken.ok() && !absl::IsDeadlineExceeded(taken)) return taken;
  for (const uint32_t pointer : {kQueueTail, kQueueHead, kMessageTail, kMessageHead}) {
    GPUHOST_TRY(registers_.Write32(pointer, kBase));
  }
  return absl::OkStatus();
}

absl::Status FspEmem::Send(std::span<const uint32_t> packet) {
  if (packet.empty() || packet.size_bytes() > kSize) {
    return Error(absl::StatusCode::kInvalidArgument, "FSP request of {} bytes",
                 packet.size_bytes());
  }
  const absl::Status free = AwaitTaken(kTakeLimit);
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

absl::StatusOr<std::vector<uint32_t>> FspEmem::Receive(Duration limit) {
  Queue answer;
  const absl::Status answered = PollUntil(clock_, limit, kPoll, [&]() -> absl::StatusOr<bool> {
    GPUHOST_ASSIGN(answer, ReadQueue(kMessageHead, kMessageTail, "FSP message queue"));
    return !answer.Empty();
  });
  if (absl::IsDeadlineExceeded(answered)) {
    return Error(absl::StatusCode::kDeadlineExceeded,
                 "FSP did not answer within {:.0f} s; reset the GPU and try again", Seconds(limit));
  }
  GPUHOST_TRY(answered);

  const auto [head, tail] = answer;
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
