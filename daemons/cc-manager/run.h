// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/cc-manager/manager.h"

namespace gpuhost::cc_manager {

// --dry-run: prints the plan. Returns the exit status.
int PrintPlan(const gpu::Host& host, const Options& options);

// --once: one change, its result and times in the log. `start` is when the program began.
int RunOnce(const gpu::Host& host, const Options& options, TimePoint start);

// Switches at start, then looks again after changes among PCI devices and every few minutes, and
// switches what is no longer in the mode. Ends on SIGTERM, never in the middle of a change.
int RunDaemon(const gpu::Host& host, const Options& options, TimePoint start);

}  // namespace gpuhost::cc_manager
