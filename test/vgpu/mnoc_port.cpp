// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/mnoc_port.h"

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kAnswerInfo = 0x8f1f04, kAnswerData = 0x8f1f08;
constexpr uint32_t kRequestInfo = 0x8f1f84, kRequestData = 0x8f1f88;
constexpr uint32_t kSizeMask = 0xfffff, kTrigger = 1u << 20;
constexpr uint32_t kReady = 1u << 24, kError = 1u << 25, kCredit = 1u << 26;
constexpr uint32_t kMaxMessage = 4160;

}  // namespace

bool MnocPort::Owns(uint32_t offset) const { return offset >= 0x8f1e00 && offset < 0x8f2000; }

uint32_t MnocPort::Read(uint32_t offset) {
  switch (offset) {
    case kAnswerInfo:
      return answer_.empty() ? 0 : answer_bytes_ | kReady;
    case kAnswerData: {
      if (answer_.empty()) return 0;
      const uint32_t word = answer_.front();
      answer_.pop_front();
      return word;
    }
    case kRequestInfo: {
      const bool hangs = has_fault_(Fault::kRpcSilent) && !request_.empty();
      return (error_ ? kError : 0) | (announced_ == 0 && !hangs ? kReady : 0) | kCredit;
    }
    default:
      return 0;
  }
}

void MnocPort::Write(uint32_t offset, uint32_t value) {
  if (offset == kRequestInfo && (value & kTrigger) != 0) {
    announced_ = value & kSizeMask;
    error_ = announced_ == 0 || announced_ > kMaxMessage;
    request_.clear();
  }
  if (offset != kRequestData || announced_ == 0) return;
  request_.push_back(value);
  if (4 * request_.size() >= announced_) Serve();
}

void MnocPort::Serve() {
  announced_ = 0;
  if (has_fault_(Fault::kRpcSilent)) return;
  const std::vector<uint32_t> answer = firmware_.Answer(request_);
  request_.clear();
  answer_.assign(answer.begin(), answer.end());
  answer_bytes_ = 4 * static_cast<uint32_t>(answer.size());
  if (has_fault_(Fault::kRpcOversize)) answer_bytes_ = kSizeMask;
}

void MnocPort::Reset() {
  announced_ = answer_bytes_ = 0;
  error_ = false;
  request_.clear();
  answer_.clear();
}

void MnocPort::LeaveStale() {
  answer_.assign({0xc0000000, 0x1510de7e, 0, 0x13, 0});
  answer_bytes_ = 20;
}

}  // namespace gpuhost::vgpu
