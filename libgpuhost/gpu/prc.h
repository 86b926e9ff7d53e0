// SPDX-License-Identifier: Apache-2.0
//
// PRC knobs: firmware settings in the GPU's non-volatile store, read and written by message to the
// FSP. A written knob takes effect at the next reset of the device.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libgpuhost/gpu/fsp_transport.h"

namespace gpuhost::gpu {

// The even number is the setting, the odd one before it whether host software may change it
// (1) or only the board's management controller (0).
enum class Knob : uint16_t {
  kFeature2 = 2,  // 2, 4 and 34 have no public name; they must be 0 while CC or PPCIe is on
  kFeature4 = 4,
  kCcDevtools = 6,      // CCD
  kCcMode = 8,          // CCM
  kBar0Decoupler = 10,  // 0 off, 2 on
  kFeature34 = 34,
  kPpcie = 45,  // its permission is 44
};

std::string KnobName(Knob knob);
// The id of the permission that belongs to `knob`.
uint16_t PermissionOf(Knob knob);

// Reads and writes knobs over a transport, which must outlive it.
//
// An answer tells neither its knob nor its request. So a channel is brought into step before its
// first request, and again after any request that was not answered as it should: Connect asks for
// what does not exist and for what does, until the answers fit.
//
// Errors: those of FspTransport, and by the code in the answer
//   kNotFound            0x1e3 the firmware does not know the knob
//   kFailedPrecondition  0x202 a driver is bound, 0x9e invalid state
//   kUnimplemented       0xa0  not supported
//   kInvalidArgument     0xa1  value refused
//   kUnknown             any other
class Prc {
 public:
  explicit Prc(FspTransport& transport) : transport_(transport) {}

  // Needed after opening and after each reset; else the next request does it. Of firmware that
  // refuses everything it is OK, for that is an answer too.
  absl::Status Connect();

  absl::StatusOr<uint16_t> Read(Knob knob);
  // Reads it back; kDataLoss when the firmware has another value then.
  absl::Status Write(Knob knob, uint16_t value);
  // May host software change this knob?
  absl::StatusOr<bool> MayChange(Knob knob);

 private:
  absl::StatusOr<uint16_t> ReadId(uint16_t id);
  absl::StatusOr<std::vector<uint32_t>> Call(std::span<const uint32_t> request, size_t words);
  absl::StatusOr<std::vector<uint32_t>> Answered(std::span<const uint32_t> request, size_t words);
  absl::Status ProbeBoth();
  absl::Status Probe(uint16_t id, bool exists);

  FspTransport& transport_;
  bool in_step_ = false;  // every request so far has got its own answer
};

}  // namespace gpuhost::gpu
