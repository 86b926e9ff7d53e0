// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string_view>

#include "libgpuhost/gpu/chips.h"

namespace gpuhost::cc {

// What an administrator can ask for.
enum class Mode { kOff, kOn, kDevtools, kPpcie };

// What a device can be in. kInvalid (devtools without CC) is left behind by interrupted tools and
// is healed by switching to any mode.
enum class State { kOff, kOn, kDevtools, kPpcie, kInvalid };

// Exactly "off", "on", "devtools" or "ppcie"; else kInvalidArgument, listing them.
absl::StatusOr<Mode> ParseMode(std::string_view text);
std::string_view ToString(Mode mode);
std::string_view ToString(State state);

// The state of a device in a node of that mode. An NVSwitch has none of its own but protected PCIe:
// with any other mode it is off.
State StateOf(Mode mode, gpu::Architecture architecture = gpu::Architecture::kHopper);

// The effective state from the mode register of a booted device.
// Source: gpu-admin-tools and the open kernel module; protected PCIe is tested first, because a GPU
// in it has both CC bits clear.
//   kDataLoss  the word shows a multi-GPU mode that this version does not know
absl::StatusOr<State> DecodeState(gpu::ModeWord meaning, uint32_t word);

}  // namespace gpuhost::cc
