// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>

#include "daemons/cc-manager/manager.h"
#include "daemons/cc-manager/options.h"

namespace gpuhost::cc_manager {

// --dry-run: prints the plan of a change; reads only. Returns the exit status, as all of these.
absl::StatusOr<int> PrintPlan(Options& options);

// --once: one pass.
int RunOnce(Manager& manager, Reporter& reporter, Wakeup& wakeup);

// Passes when another mode is wanted, when devices change, after a failure with growing pauses (up
// to five minutes; up to an hour where it disturbed the neighbours or reset devices, and after some
// such resets none), and every few minutes. `ready` says that all devices are in the mode and
// everybody knows. Ends on SIGTERM, never in the middle of a reset.
int RunDaemon(Manager& manager, Reporter& reporter, Wakeup& wakeup, Clock& clock,
              std::atomic<bool>& ready);

}  // namespace gpuhost::cc_manager
