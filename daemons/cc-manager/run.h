// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/cc-manager/target.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::cc_manager {

// --dry-run: prints the plan. Returns the exit status, as all of these.
int PrintPlan(const gpu::Host& host, Target& target, bool force);

// --once: one change, its result and times in the log. `start` is when the program began.
int RunOnce(const gpu::Host& host, Target& target, bool force, TimePoint start);

// Switches at start, then looks again when another mode is wanted, after changes among PCI devices
// and every few minutes, and switches what is no longer in the mode. Ends on SIGTERM, never in the
// middle of a change.
int RunDaemon(const gpu::Host& host, Target& target, bool force, TimePoint start);

}  // namespace gpuhost::cc_manager
