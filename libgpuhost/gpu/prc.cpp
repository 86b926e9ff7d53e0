// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/prc.h"

#include <array>
#include <vector>

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/mctp.h"

namespace gpuhost::gpu {
namespace {

// Object type, number of value bytes, knob id.
constexpr uint32_t kRead = 0x0c | 2u << 8;
constexpr uint32_t kWrite = 0x0d | 2u << 8;

constexpr uint16_t kNoKnob = 0xffff;  // beyond all that firmware has
constexpr uint32_t kUnknownKnob = 0x1e3;
constexpr int kAttempts = 3;
constexpr int kMostStale = 8;  // answers that nobody waits for
// Once something has been answered, an answer that is still on its way comes within this.
constexpr Duration kQuiet = std::chrono::seconds(1);

uint32_t ReadRequest(uint16_t id) { return kRead | uint32_t{id} << 16; }

absl::Status FspError(uint32_t code) {
  using absl::StatusCode;
  switch (code) {
    case 0:
      return absl::OkStatus();
    case 0x9e:
      return absl::FailedPreconditionError("FSP error 0x9e: invalid state");
    case 0xa0:
      return absl::UnimplementedError("FSP error 0xa0: not supported by this GPU");
    case 0xa1:
      return absl::InvalidArgumentError("FSP error 0xa1: value refused");
    case kUnknownKnob:
      return absl::NotFoundError("FSP error 0x1e3: unknown to this firmware; update the VBIOS");
    case 0x202:
      return absl::FailedPreconditionError("FSP error 0x202: a driver holds the GPU; unbind it");
    default:
      return Error(StatusCode::kUnknown, "FSP error {:#x}", code);
  }
}

}  // namespace

std::string KnobName(Knob knob) {
  switch (knob) {
    case Knob::kCcDevtools:
      return "cc-devtools";
    case Knob::kCcMode:
      return "cc-mode";
    case Knob::kBar0Decoupler:
      return "bar0-decoupler";
    case Knob::kPpcie:
      return "ppcie";
    case Knob::kFeature2:
    case Knob::kFeature4:
    case Knob::kFeature34:
      break;
  }
  return fmt::format("knob-{}", static_cast<uint16_t>(knob));
}

uint16_t PermissionOf(Knob knob) { return static_cast<uint16_t>(static_cast<uint16_t>(knob) - 1); }

absl::Status Prc::Connect() {
  in_step_ = false;
  GPUHOST_TRY(transport_.Initialize());
  // An old answer that comes while a probe is written lies over it, and what the FSP then reads is
  // no request.
  absl::Status fits;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fits = ProbeBoth();
    if (!absl::IsDataLoss(fits)) break;
  }
  in_step_ = fits.ok();
  return fits;
}

// What an earlier user asked may still be answered, be it a probe of this kind: then its answer is
// taken for that of the first one here, and that for none of the second.
absl::Status Prc::ProbeBoth() {
  GPUHOST_TRY(Probe(kNoKnob, /*exists=*/false));
  return Probe(static_cast<uint16_t>(Knob::kCcMode), /*exists=*/true);
}

// Reads a knob and drops answers until one fits. Firmware that answers otherwise than expected is
// believed when nothing else comes.
absl::Status Prc::Probe(uint16_t id, bool exists) {
  const std::array<uint32_t, 1> request{ReadRequest(id)};
  GPUHOST_TRY(transport_.Send(EncodeRequest(kNvdmPrc, request)));
  absl::StatusOr<Response> last = absl::DeadlineExceededError("no answer");
  for (int dropped = 0; dropped < kMostStale; ++dropped) {
    const auto packet = transport_.Receive(dropped == 0 ? kAnswerLimit : kQuiet);
    if (absl::IsDeadlineExceeded(packet.status()))
      return dropped == 0 ? packet.status() : last.status();
    last = packet.ok() ? DecodeResponse(kNvdmPrc, *packet) : packet.status();
    if (last.ok() && (last->error != kUnknownKnob) == exists) return absl::OkStatus();
  }
  return Error(absl::StatusCode::kDataLoss, "FSP sends {} answers to one request; reset the GPU",
               kMostStale);
}

absl::StatusOr<std::vector<uint32_t>> Prc::Call(std::span<const uint32_t> request, size_t words) {
  if (!in_step_) GPUHOST_TRY(Connect());
  auto payload = Answered(request, words);
  in_step_ = !absl::IsDeadlineExceeded(payload.status()) && !absl::IsDataLoss(payload.status());
  return payload;
}

// Demands `words` words of payload in the answer.
absl::StatusOr<std::vector<uint32_t>> Prc::Answered(std::span<const uint32_t> request,
                                                    size_t words) {
  GPUHOST_TRY(transport_.Send(EncodeRequest(kNvdmPrc, request)));
  GPUHOST_ASSIGN(const auto packet, transport_.Receive(kAnswerLimit));
  GPUHOST_ASSIGN(Response response, DecodeResponse(kNvdmPrc, packet));
  GPUHOST_TRY(FspError(response.error));
  if (response.payload.size() != words) {
    return Error(absl::StatusCode::kDataLoss, "FSP answered {} words of payload instead of {}",
                 response.payload.size(), words);
  }
  return std::move(response.payload);
}

absl::StatusOr<uint16_t> Prc::ReadId(uint16_t id) {
  const std::array<uint32_t, 1> request{ReadRequest(id)};
  GPUHOST_ASSIGN(const auto payload, Call(request, 1));
  return static_cast<uint16_t>(payload[0] & 0xffff);  // the upper half is undefined
}

absl::StatusOr<uint16_t> Prc::Read(Knob knob) {
  auto value = ReadId(static_cast<uint16_t>(knob));
  if (!value.ok()) return Annotate(value.status(), fmt::format("read {}", KnobName(knob)));
  return value;
}

absl::Status Prc::Write(Knob knob, uint16_t value) {
  const std::string what = fmt::format("write {} := {}", KnobName(knob), value);
  const std::array<uint32_t, 2> request{kWrite | uint32_t{static_cast<uint16_t>(knob)} << 16,
                                        value};
  GPUHOST_TRY(Annotate(Call(request, 0).status(), what));
  const auto found = ReadId(static_cast<uint16_t>(knob));
  if (!found.ok()) return Annotate(found.status(), what + ", read back");
  if (*found == value) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "{}: its firmware has {} afterwards", what, *found);
}

absl::StatusOr<bool> Prc::MayChange(Knob knob) {
  auto allowed = ReadId(PermissionOf(knob));
  if (!allowed.ok()) {
    return Annotate(allowed.status(), fmt::format("read permission of {}", KnobName(knob)));
  }
  return *allowed != 0;
}

}  // namespace gpuhost::gpu
