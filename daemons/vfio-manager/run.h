// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// `bind` and `unbind`: one pass, a line per device. Returns the exit status.
int RunOnce(Deps& deps, const Options& options);

// `run`: a pass at start and after every change among PCI devices, until SIGTERM. Devices stay
// bound at the end, for virtual machines may use them. Returns the exit status.
int RunDaemon(Deps& deps, const Options& options);

}  // namespace gpuhost::vfio_manager
