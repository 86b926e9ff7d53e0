// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// `run`: a pass at start, after every change among PCI devices and every change of cc-manager's
// mind, and once a minute, until SIGTERM. A pass that failed for a device is repeated sooner.
// Devices that were unbound on request stay so; a start forgets that of those that nobody else has
// taken since. Returns the exit status.
int RunDaemon(Deps& deps, const Options& options);

// What a daemon's start and its end do to devices; parts of RunDaemon.
void ForgetReleases(HostFs& fs);
void ForgetAbsent(HostFs& fs);
int UnbindAtExit(Deps& deps, const Options& options);

}  // namespace gpuhost::vfio_manager
