// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/knob_store.h"

#include <algorithm>
#include <array>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kSinglePacket = 0xc0000000;
constexpr uint32_t kResponse = 0x1510de7e;
constexpr uint32_t kPrc = 0x13, kReadKnob = 0x0c, kWriteKnob = 0x0d;
constexpr uint32_t kInvalidState = 0x9e, kNotSupported = 0xa0, kUnknownKnob = 0x1e3;
constexpr uint16_t kLastKnob = 47, kPpcie = 45;

// A permission knob tells whether the host may change the knob behind it.
constexpr std::array<uint16_t, 8> kPermissions{1, 3, 5, 7, 9, 33, 35, 44};

bool IsPermission(uint16_t id) { return std::ranges::count(kPermissions, id) != 0; }

}  // namespace

KnobStore::KnobStore(HasFault has_fault, bool knows_ppcie)
    : has_fault_(std::move(has_fault)), knows_ppcie_(knows_ppcie) {
  for (uint16_t id = 1; id <= kLastKnob; ++id) knobs_[id] = IsPermission(id) ? 1 : 0;
}

uint16_t KnobStore::knob(uint16_t id) const {
  const auto found = knobs_.find(id);
  return found == knobs_.end() ? 0 : found->second;
}

std::vector<uint32_t> KnobStore::Answer(const std::vector<uint32_t>& request) {
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

uint32_t KnobStore::Prc(const std::vector<uint32_t>& request, std::vector<uint32_t>& payload) {
  const uint32_t operation = request[2] & 0xff;
  const auto id = static_cast<uint16_t>(request[2] >> 16);
  const bool ppcie = id == kPpcie || id == kPpcie - 1;
  if (!knobs_.contains(id) || (ppcie && (!knows_ppcie_ || has_fault_(Fault::kPpcieUnknown))))
    return kUnknownKnob;
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
