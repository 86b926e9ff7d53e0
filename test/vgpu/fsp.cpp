// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/fsp.h"

#include <algorithm>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kPorts = 0x8f2ac0;     // control at +0, data at +4, 8 bytes a channel
constexpr uint32_t kRequests = 0x8f2c00;  // head at +0, tail at +4
constexpr uint32_t kAnswers = 0x8f2c80;
constexpr uint32_t kIncrementOnWrite = 1u << 24, kIncrementOnRead = 1u << 25;

constexpr uint32_t kSinglePacket = 0xc0000000;
constexpr uint32_t kResponse = 0x1510de7e;
constexpr uint32_t kPrc = 0x13, kReadKnob = 0x0c, kWriteKnob = 0x0d;
constexpr uint32_t kInvalidState = 0x9e, kNotSupported = 0xa0, kUnknownKnob = 0x1e3;
constexpr uint16_t kLastKnob = 47, kPpcie = 45;

// A permission knob tells whether the host may change the knob behind it.
constexpr std::array<uint16_t, 8> kPermissions{1, 3, 5, 7, 9, 33, 35, 44};

bool IsPermission(uint16_t id) { return std::ranges::count(kPermissions, id) != 0; }

}  // namespace

Fsp::Fsp(HasFault has_fault) : has_fault_(std::move(has_fault)) {
  for (uint16_t id = 1; id <= kLastKnob; ++id) knobs_[id] = IsPermission(id) ? 1 : 0;
  Reset();
}

bool Fsp::Owns(uint32_t offset) {
  const auto in = [offset](uint32_t base) {
    return offset >= base && offset < base + 8 * kChannels;
  };
  return in(kPorts) || in(kRequests) || in(kAnswers);
}

void Fsp::Reset() {
  ports_.fill(0);
  for (uint32_t i = 0; i < kChannels; ++i) {
    requests_[i] = answers_[i] = {i * kChannelBytes, i * kChannelBytes};
  }
}

void Fsp::LeaveStale() {
  for (uint32_t i = 0; i < kChannels; ++i) {
    requests_[i].tail = requests_[i].head + 8;
    answers_[i].tail = answers_[i].head + 20;
  }
}

uint16_t Fsp::knob(uint16_t id) const {
  const auto found = knobs_.find(id);
  return found == knobs_.end() ? 0 : found->second;
}

uint32_t& Fsp::Port(uint32_t channel, bool on_write) {
  uint32_t& control = ports_[channel];
  uint32_t& word = emem_[(control & 0xffff) / 4 % emem_.size()];
  if ((control & (on_write ? kIncrementOnWrite : kIncrementOnRead)) != 0) control += 4;
  return word;
}

uint32_t Fsp::Read(uint32_t offset) {
  const uint32_t channel = offset % (8 * kChannels) / 8;
  const bool second = (offset & 4) != 0;
  if (offset < kRequests) return second ? Port(channel, false) : ports_[channel];
  const Queue& queue = (offset < kAnswers ? requests_ : answers_)[channel];
  return second ? queue.tail : queue.head;
}

void Fsp::Write(uint32_t offset, uint32_t value) {
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

void Fsp::Serve(uint32_t channel) {
  Queue& request = requests_[channel];
  const uint32_t base = channel * kChannelBytes;
  const uint32_t first = request.head / 4;
  const uint32_t last =
      std::min<uint32_t>(request.tail / 4, static_cast<uint32_t>(emem_.size()) - 1);
  std::vector<uint32_t> words;
  for (uint32_t i = first; i <= last; ++i) words.push_back(emem_[i]);
  if (has_fault_(Fault::kRpcSilent)) return;

  request = {base, base};
  const std::vector<uint32_t> answer = Answer(words);
  std::ranges::copy(answer, emem_.begin() + base / 4);
  answers_[channel] = {base, base + 4 * (static_cast<uint32_t>(answer.size()) - 1)};
  if (has_fault_(Fault::kRpcOversize)) answers_[channel].tail = base + 4 * kChannelBytes;
}

std::vector<uint32_t> Fsp::Answer(const std::vector<uint32_t>& request) {
  std::vector<uint32_t> payload;
  uint32_t error = kNotSupported;
  const uint32_t type = request.size() > 1 ? request[1] >> 24 : 0;
  if (type == kPrc && request.size() > 2) error = Prc(request, payload);
  if (has_fault_(Fault::kRpcError)) {
    error = kInvalidState;
    payload.clear();
  }
  std::vector<uint32_t> answer{kSinglePacket, kResponse, 0, type, error};
  answer.insert(answer.end(), payload.begin(), payload.end());
  if (has_fault_(Fault::kRpcGarbage)) answer[1] = 0xdeadbeef;
  if (has_fault_(Fault::kRpcWrongEcho)) answer[3] = type + 1;
  if (has_fault_(Fault::kRpcShort)) answer.resize(3);
  return answer;
}

uint32_t Fsp::Prc(const std::vector<uint32_t>& request, std::vector<uint32_t>& payload) {
  const uint32_t operation = request[2] & 0xff;
  const auto id = static_cast<uint16_t>(request[2] >> 16);
  const bool ppcie = id == kPpcie || id == kPpcie - 1;
  if (!knobs_.contains(id) || (ppcie && has_fault_(Fault::kPpcieUnknown))) return kUnknownKnob;
  const bool locked = has_fault_(Fault::kKnobLocked);
  if (operation == kReadKnob) {
    const uint32_t value = locked && IsPermission(id) ? 0 : knob(id);
    payload.push_back(0xabcd0000 | value);  // the upper half is undefined on silicon
    return 0;
  }
  if (operation == kWriteKnob && request.size() > 3) {
    const auto permission = static_cast<uint16_t>(id - 1);
    const bool refused = IsPermission(permission) && knob(permission) == 0;
    if (locked || refused || IsPermission(id)) return kInvalidState;
    SetKnob(id, static_cast<uint16_t>(request[3]));
    return 0;
  }
  return kNotSupported;
}

}  // namespace gpuhost::vgpu
