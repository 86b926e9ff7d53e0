// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/fsp_mnoc.h"

#include "libgpuhost/base/status.h"

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
constexpr Duration kAnswerLimit = std::chrono::seconds(5);

}  // namespace

absl::Status FspMnoc::Await(uint32_t info, uint32_t flag, Duration limit, std::string_view what) {
  const absl::Status come = PollUntil(clock_, limit, kPoll, [&]() -> absl::StatusOr<bool> {
    GPUHOST_ASSIGN(const uint32_t word, registers_.Read32(info));
    if ((word & kError) != 0) {
      return Error(absl::StatusCode::kDataLoss,
                   "FSP mailbox shows an error ({:#010x}); reset the GPU and try again", word);
    }
    return (word & flag) != 0;
  });
  if (!absl::IsDeadlineExceeded(come)) return come;
  return Error(come.code(),
               "FSP {} within {:.0f} s; power off the virtual machine that uses the GPU, or reset "
               "it",
               what, Seconds(limit));
}

absl::Status FspMnoc::Initialize() {
  // The answer to somebody who died over it.
  GPUHOST_ASSIGN(const uint32_t info, registers_.Read32(kAnswerInfo));
  if ((info & kReady) == 0 || (info & kError) != 0) return absl::OkStatus();
  return Receive(Duration::zero()).status();
}

absl::StatusOr<std::vector<uint32_t>> FspMnoc::Exchange(std::span<const uint32_t> packet) {
  GPUHOST_TRY(Send(packet));
  return Receive(kAnswerLimit);
}

absl::Status FspMnoc::Send(std::span<const uint32_t> packet) {
  const size_t bytes = packet.size_bytes();
  if (bytes == 0 || bytes > kMaxMessage) {
    return Error(absl::StatusCode::kInvalidArgument, "FSP request of {} bytes", bytes);
  }
  GPUHOST_TRY(Await(kRequestInfo, kReady, kReadyLimit, "does not take requests"));
  GPUHOST_TRY(registers_.Write32(kRequestInfo, static_cast<uint32_t>(bytes) | kTrigger));
  for (size_t i = 0; i < packet.size(); ++i) {
    if (i * sizeof(uint32_t) % kChunk == 0) {
      GPUHOST_TRY(
          Await(kRequestInfo, kCredit, kCreditLimit, "does not take the rest of a request"));
    }
    GPUHOST_TRY(registers_.Write32(kRequestData, packet[i]));
  }
  GPUHOST_ASSIGN(const uint32_t info, registers_.Read32(kRequestInfo));
  if ((info & kError) == 0) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "FSP refused a request ({:#010x}); reset the GPU",
               info);
}

absl::StatusOr<std::vector<uint32_t>> FspMnoc::Receive(Duration limit) {
  GPUHOST_TRY(Await(kAnswerInfo, kReady, limit, "did not answer"));
  GPUHOST_ASSIGN(const uint32_t info, registers_.Read32(kAnswerInfo));
  const size_t bytes = info & kSizeMask;
  if (bytes > kMaxMessage) {
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
