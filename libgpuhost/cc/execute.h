// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "libgpuhost/cc/change.h"

namespace gpuhost::cc {

// Before each phase that writes to devices: "arming", "resetting". The plans are complete then.
using OnPhase = std::function<void(std::string_view phase, std::span<const DeviceResult> devices)>;

// Brings all devices to `mode`: every step of a Change, one after the other. The devices have been
// admitted (see Admit). OK: every device is in the wanted state.
Outcome ChangeMode(const gpu::Host& host, std::span<const Observation> observations, Mode mode,
                   const OnPhase& on_phase);

}  // namespace gpuhost::cc
