// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/observe.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/power.h"

namespace gpuhost::cc {
namespace {

constexpr Duration kResetSilence = std::chrono::milliseconds(150);

// Codes of IsTransient; what gpu/ reports as kUnavailable is a dead device and is told apart here.
absl::Status Transient(std::string_view why) {
  return Error(absl::StatusCode::kUnavailable, "{}", why);
}

absl::Status Dead(const absl::Status& status) {
  return absl::IsUnavailable(status) ? Error(absl::StatusCode::kDataLoss, "{}", Text(status))
                                     : status;
}

// While somebody else resets it a device answers nothing for 100 ms; that is not yet dead.
absl::Status CheckAliveTwice(gpu::Registers& registers, const gpu::Layout& layout, Clock& clock) {
  absl::Status alive = gpu::CheckAlive(registers, layout);
  if (!absl::IsUnavailable(alive)) return alive;
  clock.SleepFor(kResetSilence);
  return gpu::CheckAlive(registers, layout);
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
  if (const absl::Status alive = CheckAliveTwice(*registers, layout, host.clock); !alive.ok()) {
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
