// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/mnoc_port.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kAnswerInfo = 0x8f1f04, kAnswerData = 0x8f1f08;
constexpr uint32_t kRequestInfo = 0x8f1f84, kRequestData = 0x8f1f88;
constexpr uint32_t kSizeMask = 0xfffff, kTrigger = 1u << 20;
constexpr uint32_t kReady = 1u << 24, kError = 1u << 25, kCredit = 1u << 26;
constexpr uint32_t kMaxMessage = 4160;
constexpr size_t kChunkWords = 16;  // for each credit

}  // namespace

bool MnocPort::Owns(uint32_t offset) const { return offset >= 0x8f1e00 && offset < 0x8f2000; }

uint32_t MnocPort::Read(uint32_t offset) {
  Advance();
  switch (offset) {
    case kAnswerInfo:
      view_.Look(!answer_.empty());
      return (answer_error_ ? kError : 0) | (answer_.empty() ? 0 : answer_bytes_ | kReady);
    case kAnswerData:
      return Pop();
    case kRequestInfo:
      return (refused_ ? kError : 0) | (announced_ == 0 ? kReady : 0) | (HasCredit() ? kCredit : 0);
    default:
      return 0;
  }
}

void MnocPort::Write(uint32_t offset, uint32_t value) {
  Advance();
  if (offset == kRequestInfo && (value & kTrigger) != 0) Announce(value & kSizeMask);
  if (offset == kRequestData) Push(value);
}

void MnocPort::Announce(uint32_t bytes) {
  if (announced_ != 0) world_.breach("a request is announced while another one waits");
  if (!answer_.empty() && view_.Careless()) {
    world_.breach("a request is announced before the answer is fetched");
  }
  view_ = {};
  refused_ = bytes == 0 || bytes > kMaxMessage;
  announced_ = refused_ ? 0 : bytes;
  request_.clear();
  credit_at_ = worker_.CreditTime();
}

bool MnocPort::HasCredit() const {
  const bool complete = 4 * request_.size() >= announced_;
  return !complete && world_.clock.Now() >= credit_at_;
}

void MnocPort::Push(uint32_t word) {
  if (!HasCredit()) {
    world_.breach("a word is pushed without credit");
    return;
  }
  request_.push_back(word);
  if (request_.size() % kChunkWords == 0) credit_at_ = worker_.CreditTime();
  if (4 * request_.size() >= announced_) take_at_ = worker_.TakeTime();
}

uint32_t MnocPort::Pop() {
  if (answer_.empty()) {
    world_.breach("a word is popped that is not there");
    return 0;
  }
  const uint32_t word = answer_.front();
  answer_.pop_front();
  view_.saw = !answer_.empty();
  return word;
}

// What has happened by now, in its order.
void MnocPort::Advance() {
  if (!world_.runs()) return;
  DeliverWhatIsDue();
  const bool complete = announced_ != 0 && 4 * request_.size() >= announced_;
  if (!complete || worker_.Busy() || world_.has_fault(Fault::kRpcSilent)) return;
  if (world_.clock.Now() < take_at_) return;
  worker_.Take(std::move(request_), take_at_);
  announced_ = 0;
  request_.clear();
  DeliverWhatIsDue();
}

void MnocPort::DeliverWhatIsDue() {
  if (!worker_.Busy() || !answer_.empty()) return;
  if (const auto answer = worker_.Finish()) Deliver(*answer);
}

void MnocPort::Deliver(const std::vector<uint32_t>& answer) {
  if (answer.empty()) return;
  answer_error_ = false;
  answer_.assign(answer.begin(), answer.end());
  answer_bytes_ = 4 * static_cast<uint32_t>(answer.size());
  if (world_.has_fault(Fault::kRpcOversize)) answer_bytes_ = kSizeMask;
}

void MnocPort::Reset() {
  worker_.Reset();
  announced_ = answer_bytes_ = 0;
  refused_ = answer_error_ = false;
  request_.clear();
  answer_.clear();
  view_ = {};
}

// One request has been answered and another one sent.
void MnocPort::LeaveStale() {
  Deliver({0xc0000000, 0x1510de7e, 0, 0x13, 0, 0xabcd0001});
  request_ = {0xc0000000, 0x1310de7e, 0x0007020c};
  announced_ = 4 * static_cast<uint32_t>(request_.size());
  take_at_ = worker_.TakeTime();
}

}  // namespace gpuhost::vgpu
