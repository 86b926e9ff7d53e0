// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/cc/mode.h"
#include "libgpuhost/gpu/registers.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::cc {

// One GPU or NVSwitch as a reader finds it.
struct Observation {
  pci::Device device;
  const gpu::Chip* chip = nullptr;  // nullptr: unknown to this version
  // The effective state. Else why it cannot be read: kUnimplemented (chip not operated by this
  // version), kUnavailable (asleep, still booting, or its user has its registers to himself: worth
  // another look), kDataLoss and others
  // (dead, see gpu::CheckAlive).
  absl::StatusOr<State> state = absl::UnknownError("not read");
  uint32_t mode_word = 0;  // the register behind `state`, when that is known
  // Who has the device open, for a person ("qemu-system-x86 (pid 4711)"); empty: nobody. Observe
  // does not fill it; the caller does, with vfio::FindHolders.
  std::string in_use_by;
};

// Reads only: it maps BAR0 read-only, does not wake a sleeping device and does not touch the BAR0
// of a chip without layout.
Observation Observe(const gpu::Host& host, const pci::Device& device);

// kUnimplemented, with the reason, when the device can never be in a node of that mode: an older
// GPU, a superchip, a Blackwell GPU in protected PCIe, an NVSwitch of generation 2 in protected
// PCIe.
absl::Status CanReach(const Observation& observation, Mode mode);

// Whether `error` of an Observation goes away once the device is awake and booted.
bool IsTransient(const absl::Status& error);

}  // namespace gpuhost::cc
