// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/knob_store.h"

#include <algorithm>
#include <array>

namespace gpuhost::vgpu {
namespace {

constexpr uint32_t kSinglePacket = 0xc0000000;
constexpr uint32_t kVendorMessage = 0x10de7e, kVendorMask = 0xffffff;
constexpr uint32_t kResponse = 0x1510de7e;
constexpr uint32_t kPrc = 0x13, kReadKnob = 0x0c, kWriteKnob = 0x0d, kValueBytes = 2;
constexpr uint32_t kInvalidState = 0x9e, kNotSupported = 0xa0, kInvalidData = 0xa1;
constexpr uint32_t kUnknownKnob = 0x1e3, kDriverBound = 0x202;
constexpr uint16_t kLastKnob = 47, kCcDevtools = 6, kCcMode = 8, kDecoupler = 10, kPpcie = 45;

// A permission knob tells whether the host may change the knob behind it.
constexpr std::array<uint16_t, 8> kPermissions{1, 3, 5, 7, 9, 33, 35, 44};

bool IsPermission(uint16_t id) { return std::ranges::count(kPermissions, id) != 0; }

bool MayHave(uint16_t id, uint32_t value) {
  return id == kDecoupler ? value == 0 || value == 2 : value <= 1;
}

}  // namespace

KnobStore::KnobStore(HasFault has_fault, std::function<void(const std::string&)> breach,
                     bool knows_ppcie)
    : has_fault_(std::move(has_fault)), breach_(std::move(breach)), knows_ppcie_(knows_ppcie) {
  for (uint16_t id = 1; id <= kLastKnob; ++id) knobs_[id] = IsPermission(id) ? 1 : 0;
}

uint16_t KnobStore::knob(uint16_t id) const {
  const auto found = knobs_.find(id);
  return found == knobs_.end() ? 0 : found->second;
}

std::vector<uint32_t> KnobStore::Answer(const std::vector<uint32_t>& request) {
  const bool ours = request.size() >= 2 && request[0] == kSinglePacket &&
                    (request[1] & kVendorMask) == kVendorMessage;
  if (!ours) return {};
  std::vector<uint32_t> payload;
  const uint32_t type = request[1] >> 24;
  uint32_t error = type == kPrc ? Prc(request, payload) : kNotSupported;
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
  if (has_fault_(Fault::kDriverBound)) return kDriverBound;
  if (request.size() < 3) return kInvalidData;
  const uint32_t operation = request[2] & 0xff, bytes = request[2] >> 8 & 0xff;
  const auto id = static_cast<uint16_t>(request[2] >> 16);
  if (operation != kReadKnob && operation != kWriteKnob) return kNotSupported;
  const size_t words = operation == kReadKnob ? 3 : 4;
  if (bytes != kValueBytes || request.size() != words) return kInvalidData;
  const bool ppcie = id == kPpcie || id == kPpcie - 1;
  if (!knobs_.contains(id) || (ppcie && (!knows_ppcie_ || has_fault_(Fault::kPpcieUnknown))))
    return kUnknownKnob;
  if (operation == kWriteKnob) return Write(id, request[3]);
  const uint32_t value = has_fault_(Fault::kKnobLocked) && IsPermission(id) ? 0 : knob(id);
  payload.push_back(0xabcd0000 | value);  // the upper half is undefined on silicon
  return 0;
}

uint32_t KnobStore::Write(uint16_t id, uint32_t value) {
  const auto permission = static_cast<uint16_t>(id - 1);
  const bool refused = IsPermission(permission) && knob(permission) == 0;
  if (has_fault_(Fault::kKnobLocked) || refused || IsPermission(id)) return kInvalidState;
  if (!MayHave(id, value)) return kInvalidData;
  const bool before = DevtoolsWithoutCc();
  SetKnob(id, static_cast<uint16_t>(value));
  written_ = true;
  if (!before && DevtoolsWithoutCc()) breach_("devtools is written without CC");
  return 0;
}

bool KnobStore::DevtoolsWithoutCc() const { return knob(kCcDevtools) != 0 && knob(kCcMode) == 0; }

}  // namespace gpuhost::vgpu
