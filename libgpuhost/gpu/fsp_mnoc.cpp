// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/fsp_mnoc.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/checked.h"

namespace gpuhost::gpu {
namespace {

// NV_PFSP_MNOC of port 0; send and receive as the FSP sees it. The info words: bits 19:0 size of
// the message in bytes, and flags.
constexpr uint32_t kAnswerInfo = 0x8f1f04;   // SENDMBOX
constexpr uint32_t kAnswerData = 0x8f1f08;   // each read pops a word
constexpr uint32_t kRequestInfo = 0x8f1f84;  // RECEIVEMBOX
constexpr uint32_t kRequestData = 0x8f1f88;  // each write pushes a word
constexpr uint32_t kSizeMask = 0xfffff;
constexpr uint32_t kTrigger = 1u << 20;
constexpr uint32_t kReady = 1u << 24;
constexpr uint32_t kError = 1u << 25;
constexpr uint32_t kCredit = 1u << 26;

constexpr size_t kMaxMessage = 4160;  // bytes
constexpr size_t kChunk = 64;         // bytes for each credit

constexpr Duration kPoll = std::chrono::microseconds(500);
constexpr Duration kReadyLimit = std::chrono::seconds(5);
constexpr Duration kCreditLimit = std::chrono::seconds(1);

absl::Status BoxError(std::string_view box, uint32_t info) {
  return Error(absl::StatusCode::kDataLoss,
               "FSP {} mailbox shows an error ({:#010x}); reset the GPU and try again", box, info);
}

}  // namespace

absl::StatusOr<uint32_t> FspMnoc::ReadAnswerInfo() {
  return ReadChecked(registers_, kAnswerInfo, "FSP answer mailbox");
}

absl::Status FspMnoc::AwaitRoom(uint32_t flag, Duration limit, std::string_view what) {
  const absl::Status come = PollUntil(clock_, limit, kPoll, [&]() -> absl::StatusOr<bool> {
    GPUHOST_TRY(DropAnswers());
    GPUHOST_ASSIGN(const uint32_t info,
                   ReadChecked(registers_, kRequestInfo, "FSP request mailbox"));
    if ((info & kError) != 0) return BoxError("request", info);
    return (info & flag) != 0;
  });
  if (!absl::IsDeadlineExceeded(come)) return come;
  return Error(come.code(),
               "FSP does not take {} within {:.0f} s; power off the virtual machine that uses the "
               "GPU, or reset it",
               what, Seconds(limit));
}

// Pops word by word while one is announced: the size of a senseless answer is not believed.
absl::Status FspMnoc::DropAnswers() {
  for (size_t word = 0; word < 2 * kMaxMessage / sizeof(uint32_t); ++word) {
    GPUHOST_ASSIGN(const uint32_t info, ReadAnswerInfo());
    if ((info & kReady) == 0) return absl::OkStatus();
    GPUHOST_TRY(registers_.Read32(kAnswerData).status());
  }
  return absl::DataLossError("FSP answer mailbox does not become empty; reset the GPU");
}

absl::Status FspMnoc::Initialize() { return DropAnswers(); }

absl::Status FspMnoc::Send(std::span<const uint32_t> packet) {
  const size_t bytes = packet.size_bytes();
  if (bytes == 0 || bytes > kMaxMessage) {
    return Error(absl::StatusCode::kInvalidArgument, "FSP request of {} bytes", bytes);
  }
  GPUHOST_TRY(AwaitRoom(kReady, kReadyLimit, "requests"));
  GPUHOST_TRY(registers_.Write32(kRequestInfo, static_cast<uint32_t>(bytes) | kTrigger));
  for (size_t i = 0; i < packet.size(); ++i) {
    if (i * sizeof(uint32_t) % kChunk == 0) {
      GPUHOST_TRY(AwaitRoom(kCredit, kCreditLimit, "the rest of a request"));
    }
    GPUHOST_TRY(registers_.Write32(kRequestData, packet[i]));
  }
  GPUHOST_ASSIGN(const uint32_t info, ReadChecked(registers_, kRequestInfo, "FSP request mailbox"));
  return (info & kError) == 0 ? absl::OkStatus() : BoxError("request", info);
}

// An error flag of an earlier answer stays until the next one, so it means something only when none
// comes, or beside ours. Source: gpu-admin-tools.
absl::StatusOr<std::vector<uint32_t>> FspMnoc::Receive(Duration limit) {
  uint32_t info = 0;
  const absl::Status answered = PollUntil(clock_, limit, kPoll, [&]() -> absl::StatusOr<bool> {
    GPUHOST_ASSIGN(info, ReadAnswerInfo());
    return (info & kReady) != 0;
  });
  if (absl::IsDeadlineExceeded(answered)) {
    if ((info & kError) != 0) return BoxError("answer", info);
    return Error(answered.code(), "FSP did not answer within {:.0f} s; reset the GPU and try again",
                 Seconds(limit));
  }
  GPUHOST_TRY(answered);
  if ((info & kError) != 0) {
    GPUHOST_TRY(DropAnswers());
    return BoxError("answer", info);
  }
  const size_t bytes = info & kSizeMask;
  if (bytes > kMaxMessage) {
    GPUHOST_TRY(DropAnswers());
    return Error(absl::StatusCode::kDataLoss, "FSP announces an answer of {} bytes; reset the GPU",
                 bytes);
  }
  std::vector<uint32_t> words;
  for (size_t i = 0; i < (bytes + 3) / 4; ++i) {
    GPUHOST_ASSIGN(const uint32_t word, registers_.Read32(kAnswerData));
    words.push_back(word);
  }
  return words;
}

}  // namespace gpuhost::gpu
