// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/observe.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/power.h"

namespace gpuhost::cc {
namespace {

// Codes of IsTransient; what gpu/ reports as kUnavailable is a dead device and is told apart here.
absl::Status Transient(std::string_view why) {
  return Error(absl::StatusCode::kUnavailable, "{}", why);
}

absl::Status Dead(const absl::Status& status) {
  return absl::IsUnavailable(status) ? Error(absl::StatusCode::kDataLoss, "{}", Text(status))
                                     : status;
}

absl::StatusOr<State> ReadState(const gpu::Host& host, const pci::Device& device,
                                const gpu::Chip* chip) {
  if (chip == nullptr) {
    return Error(absl::StatusCode::kUnimplemented,
                 "device id {:04x} is unknown to this version; update gpuhost", device.device);
  }
  if (chip->layout == nullptr) {
    return Error(absl::StatusCode::kUnimplemented,
                 "{} has no confidential-computing modes that this version operates", chip->name);
  }
  const auto awake = gpu::IsAwake(host.fs, device.bdf);
  if (!awake.ok()) return Dead(awake.status());
  if (!*awake) return Transient("asleep; bind it to vfio-pci or switch its mode to wake it");

  GPUHOST_ASSIGN(const auto registers, host.registers.Open(device, gpu::Access::kReadOnly));
  const gpu::Layout& layout = *chip->layout;
  if (const absl::Status alive = gpu::CheckAlive(*registers, layout); !alive.ok()) {
    return Dead(alive);
  }
  GPUHOST_ASSIGN(const bool booted, gpu::HasBooted(*registers, layout));
  if (!booted) return Transient("firmware is booting");
  GPUHOST_ASSIGN(const uint32_t word, registers->Read32(layout.mode));
  return DecodeState(layout.mode_word, word);
}

}  // namespace

Observation Observe(const gpu::Host& host, const pci::Device& device) {
  const gpu::Chip* chip = gpu::FindChip(device);
  return Observation{.device = device, .chip = chip, .state = ReadState(host, device, chip)};
}

bool IsTransient(const absl::Status& error) { return absl::IsUnavailable(error); }

}  // namespace gpuhost::cc
