// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "libgpuhost/cc/change.h"

namespace gpuhost::cc_manager {

// Not below the directory of the status documents, for the API side may write that.
inline constexpr std::string_view kFlightDirectory = "/run/nvidia/gpuhost-flight";

// What is known of each device after a change that failed, as kFlightDirectory/<n>.json:
// its result, and unless it is stuck in a reset its registers, and the knobs where its firmware
// answers and nobody has it open. The newest 8 are kept. The change has let go of the devices.
// It is an aid, so its own errors are only logged. The schema is in docs/architecture.md.
void RecordFlight(const gpu::Host& host, std::span<const cc::Observation> seen,
                  const cc::Outcome& outcome);

}  // namespace gpuhost::cc_manager
