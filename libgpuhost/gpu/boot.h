// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include "libgpuhost/gpu/chips.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpu {

// Reads PMC_BOOT_0 and the recovery flag. kUnavailable when the device does not answer (all ones),
// kDataLoss when it answers with a fault pattern (0xbadf....), kFailedPrecondition when it waits
// for a firmware recovery. Reads only.
absl::Status CheckAlive(Registers& registers, const Layout& layout);

// True once the firmware has booted; the mode register means nothing before. Reads only.
absl::StatusOr<bool> HasBooted(Registers& registers, const Layout& layout);

// Waits for HasBooted, for layout.boot_limit at most (then kDeadlineExceeded with the firmware's
// status words), then CheckAlive.
absl::Status WaitForBoot(Registers& registers, const Layout& layout, Clock& clock);

}  // namespace gpuhost::gpu
