// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/emem_port.h"

#include <algorithm>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kPorts = 0x8f2ac0;     // control at +0, data at +4, 8 bytes a channel
constexpr uint32_t kRequests = 0x8f2c00;  // head at +0, tail at +4
constexpr uint32_t kAnswers = 0x8f2c80;
constexpr uint32_t kIncrementOnWrite = 1u << 24, kIncrementOnRead = 1u << 25;

}  // namespace

EmemPort::EmemPort(KnobStore& knobs, HasFault has_fault)
    : firmware_(knobs), has_fault_(std::move(has_fault)) {
  Reset();
}

bool EmemPort::Owns(uint32_t offset) const {
  const auto in = [offset](uint32_t base) {
    return offset >= base && offset < base + 8 * kChannels;
  };
  return in(kPorts) || in(kRequests) || in(kAnswers);
}

void EmemPort::Reset() {
  ports_.fill(0);
  for (uint32_t i = 0; i < kChannels; ++i) {
    requests_[i] = answers_[i] = {i * kChannelBytes, i * kChannelBytes};
  }
}

void EmemPort::LeaveStale() {
  for (uint32_t i = 0; i < kChannels; ++i) {
    requests_[i].tail = requests_[i].head + 8;
    answers_[i].tail = answers_[i].head + 20;
  }
}

uint32_t& EmemPort::Port(uint32_t channel, bool on_write) {
  uint32_t& control = ports_[channel];
  uint32_t& word = emem_[(control & 0xffff) / 4 % emem_.size()];
  if ((control & (on_write ? kIncrementOnWrite : kIncrementOnRead)) != 0) control += 4;
  return word;
}

uint32_t EmemPort::Read(uint32_t offset) {
  const uint32_t channel = offset % (8 * kChannels) / 8;
  const bool second = (offset & 4) != 0;
  if (offset < kRequests) return second ? Port(channel, false) : ports_[channel];
  const Queue& queue = (offset < kAnswers ? requests_ : answers_)[channel];
  return second ? queue.tail : queue.head;
}

void EmemPort::Write(uint32_t offset, uint32_t value) {
  const uint32_t channel = offset % (8 * kChannels) / 8;
  const bool second = (offset & 4) != 0;
  if (offset < kRequests) {
    (second ? Port(channel, true) : ports_[channel]) = value;
    return;
  }
  Queue& queue = (offset < kAnswers ? requests_ : answers_)[channel];
  (second ? queue.tail : queue.head) = value;
  const bool rings = offset < kAnswers && !second;
  if (rings && queue.head != queue.tail) Serve(channel);
}

void EmemPort::Serve(uint32_t channel) {
  Queue& request = requests_[channel];
  const uint32_t base = channel * kChannelBytes;
  const uint32_t first = request.head / 4;
  const uint32_t last =
      std::min<uint32_t>(request.tail / 4, static_cast<uint32_t>(emem_.size()) - 1);
  std::vector<uint32_t> words;
  for (uint32_t i = first; i <= last; ++i) words.push_back(emem_[i]);
  if (has_fault_(Fault::kRpcSilent)) return;

  request = {base, base};
  const std::vector<uint32_t> answer = firmware_.Answer(words);
  std::ranges::copy(answer, emem_.begin() + base / 4);
  answers_[channel] = {base, base + 4 * (static_cast<uint32_t>(answer.size()) - 1)};
  if (has_fault_(Fault::kRpcOversize)) answers_[channel].tail = base + 4 * kChannelBytes;
}

}  // namespace gpuhost::vgpu
