// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/emem_port.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kPorts = 0x8f2ac0;     // control at +0, data at +4, 8 bytes a channel
constexpr uint32_t kRequests = 0x8f2c00;  // head at +0, tail at +4
constexpr uint32_t kAnswers = 0x8f2c80;
constexpr uint32_t kIncrementOnWrite = 1u << 24, kIncrementOnRead = 1u << 25;
constexpr Duration kHung = std::chrono::seconds(1);  // a request that waits so long may be dropped

}  // namespace

EmemPort::EmemPort(KnobStore& knobs, const FspWorld& world)
    : world_(world), worker_(knobs, world_) {
  Reset();
}

bool EmemPort::Owns(uint32_t offset) const {
  const auto in = [offset](uint32_t base) {
    return offset >= base && offset < base + 8 * kChannels;
  };
  return in(kPorts) || in(kRequests) || in(kAnswers);
}

void EmemPort::Reset() {
  ports_.fill({});
  views_.fill({});
  worker_.Reset();
  for (uint32_t i = 0; i < kChannels; ++i) {
    requests_[i] = answers_[i] = {i * kChannelBytes, i * kChannelBytes};
  }
}

// One request has been answered and another one sent.
void EmemPort::LeaveStale() {
  const uint32_t base = kUsualChannel * kChannelBytes;
  working_for_ = kUsualChannel;
  Deliver({0xc0000000, 0x1510de7e, 0, 0x13, 0, 0xabcd0001});
  const uint32_t read_permission[] = {0xc0000000, 0x1310de7e, 0x0007020c};
  std::ranges::copy(read_permission, emem_.begin() + base / 4 + 16);
  requests_[kUsualChannel] = {base + 64, base + 72};
  sent_[kUsualChannel] = world_.clock.Now();
  taken_[kUsualChannel] = worker_.TakeTime();
}

uint32_t EmemPort::Read(uint32_t offset) {
  Advance();
  const uint32_t channel = offset % (8 * kChannels) / 8;
  const bool second = (offset & 4) != 0;
  if (offset < kRequests) return second ? ReadData(channel) : ports_[channel].control;
  const Queue& queue = (offset < kAnswers ? requests_ : answers_)[channel];
  if (offset >= kAnswers) views_[channel].Look(!queue.Empty());
  return second ? queue.tail : queue.head;
}

void EmemPort::Write(uint32_t offset, uint32_t value) {
  Advance();
  const uint32_t channel = offset % (8 * kChannels) / 8;
  const bool second = (offset & 4) != 0;
  if (offset >= kRequests) {
    const bool is_request = offset < kAnswers;
    WritePointer((is_request ? requests_ : answers_)[channel], channel, is_request, second, value);
  } else if (second) {
    WriteData(channel, value);
  } else {
    ports_[channel] = {value, !answers_[channel].Empty() && views_[channel].Careless()};
  }
}

uint32_t& EmemPort::Word(Port& port, uint32_t increment) {
  uint32_t& word = emem_[(port.control & 0xffff) / 4 % emem_.size()];
  if ((port.control & increment) != 0) port.control += 4;
  return word;
}

uint32_t EmemPort::ReadData(uint32_t channel) {
  const Queue& answer = answers_[channel];
  const uint32_t at = ports_[channel].control & 0xffff;
  if (answer.Empty() || at < answer.head || at > answer.tail) {
    world_.breach(fmt::format("EMEM read at {:#x}, where there is no answer", at));
  }
  return Word(ports_[channel], kIncrementOnRead);
}

void EmemPort::WriteData(uint32_t channel, uint32_t value) {
  if (ports_[channel].unread) {
    world_.breach("a request is written over an answer that nobody has fetched");
  }
  if (!requests_[channel].Empty()) {
    world_.breach("a request is written while one waits to be taken");
  }
  Word(ports_[channel], kIncrementOnWrite) = value;
}

void EmemPort::WritePointer(Queue& queue, uint32_t channel, bool is_request, bool is_tail,
                            uint32_t value) {
  const uint32_t base = channel * kChannelBytes;
  if (value < base || value >= base + kChannelBytes || value % 4 != 0) {
    world_.breach(fmt::format("queue pointer {:#x} of channel {}", value, channel));
  }
  const TimePoint now = world_.clock.Now();
  const bool waits = is_request && !queue.Empty() && taken_[channel] != TimePoint::max();
  if (waits && now - sent_[channel] < kHung) {
    world_.breach("queue pointers are moved while a request waits to be taken");
  }
  (is_tail ? queue.tail : queue.head) = value;
  if (!is_request) {
    views_[channel].saw = !queue.Empty();
    return;
  }
  // The write of the head is what wakes the FSP; a tail alone is not seen.
  const bool rings = !is_tail && !queue.Empty();
  if (rings) views_[channel] = {};
  sent_[channel] = now;
  taken_[channel] = rings ? worker_.TakeTime() : TimePoint::max();
}

// What has happened by now, in its order.
void EmemPort::Advance() {
  if (!world_.runs()) return;
  for (bool more = true; more;) {
    more = false;
    if (worker_.Busy() && answers_[working_for_].Empty()) {
      const auto answer = worker_.Finish();
      if (!answer) return;
      Deliver(*answer);
      more = true;
    }
    if (worker_.Busy() || world_.has_fault(Fault::kRpcSilent)) return;
    const TimePoint now = world_.clock.Now();
    for (uint32_t channel = 0; channel < kChannels && !worker_.Busy(); ++channel) {
      if (requests_[channel].Empty() || taken_[channel] > now) continue;
      Take(channel);
      more = true;
    }
  }
}

void EmemPort::Take(uint32_t channel) {
  Queue& request = requests_[channel];
  const uint32_t first = request.head / 4;
  const uint32_t last =
      std::min<uint32_t>(request.tail / 4, static_cast<uint32_t>(emem_.size()) - 1);
  std::vector<uint32_t> words;
  for (uint32_t i = first; i <= last; ++i) words.push_back(emem_[i]);
  working_for_ = channel;
  worker_.Take(std::move(words), taken_[channel]);
  request = {channel * kChannelBytes, channel * kChannelBytes};
}

void EmemPort::Deliver(const std::vector<uint32_t>& answer) {
  if (answer.empty()) return;
  const uint32_t base = working_for_ * kChannelBytes;
  std::ranges::copy(answer, emem_.begin() + base / 4);
  answers_[working_for_] = {base, base + 4 * (static_cast<uint32_t>(answer.size()) - 1)};
  if (world_.has_fault(Fault::kRpcOversize)) answers_[working_for_].tail = base + 4 * kChannelBytes;
}

}  // namespace gpuhost::vgpu
