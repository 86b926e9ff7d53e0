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
    case 0x1e3:
      return absl::NotFoundError("FSP error 0x1e3: unknown to this firmware; update the VBIOS");
    case 0x202:
      return absl::FailedPreconditionError("FSP error 0x202: a driver holds the GPU; unbind it");
    default:
      return Error(StatusCode::kUnknown, "FSP error {:#x}", code);
  }
}

// Sends one request and demands `words` words of payload in the answer.
absl::StatusOr<std::vector<uint32_t>> Call(FspTransport& transport,
                                           std::span<const uint32_t> request, size_t words) {
  GPUHOST_ASSIGN(const auto packet, transport.Exchange(EncodeRequest(kNvdmPrc, request)));
  GPUHOST_ASSIGN(Response response, DecodeResponse(kNvdmPrc, packet));
  GPUHOST_TRY(FspError(response.error));
  if (response.payload.size() != words) {
    return Error(absl::StatusCode::kDataLoss, "FSP answered {} words of payload instead of {}",
                 response.payload.size(), words);
  }
  return std::move(response.payload);
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

absl::StatusOr<uint16_t> Prc::ReadId(uint16_t id) {
  const std::array<uint32_t, 1> request{kRead | uint32_t{id} << 16};
  GPUHOST_ASSIGN(const auto payload, Call(transport_, request, 1));
  return static_cast<uint16_t>(payload[0] & 0xffff);  // the upper half is undefined
}

absl::StatusOr<uint16_t> Prc::Read(Knob knob) {
  auto value = ReadId(static_cast<uint16_t>(knob));
  if (!value.ok()) return Annotate(value.status(), fmt::format("read {}", KnobName(knob)));
  return value;
}

absl::Status Prc::Write(Knob knob, uint16_t value) {
  const std::array<uint32_t, 2> request{kWrite | uint32_t{static_cast<uint16_t>(knob)} << 16,
                                        value};
  return Annotate(Call(transport_, request, 0).status(),
                  fmt::format("write {} := {}", KnobName(knob), value));
}

absl::StatusOr<bool> Prc::MayChange(Knob knob) {
  auto allowed = ReadId(PermissionOf(knob));
  if (!allowed.ok()) {
    return Annotate(allowed.status(), fmt::format("read permission of {}", KnobName(knob)));
  }
  return *allowed != 0;
}

}  // namespace gpuhost::gpu
