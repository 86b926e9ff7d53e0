// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// `run`: a pass at start, after every change among PCI devices and every change of cc-manager's
// mind, and once a minute, until SIGTERM. A device for which a pass failed is tried again sooner,
// see Retries.
// Devices that were unbound on request stay so; a start forgets that of those that nobody else has
// taken since. Returns the exit status.
int RunDaemon(Deps& deps, const Options& options);

// Waits for a change as long as it is told to; false: it is time to stop.
using WaitForChange = std::function<bool(Duration limit)>;
// The same between its start and its end, by what `wait` says.
int Loop(Deps& deps, const Options& options, const WaitForChange& wait);

// What a daemon's start and its end do to devices; parts of RunDaemon.
void ForgetReleases(HostFs& fs);
void ForgetAbsent(HostFs& fs);
int UnbindAtExit(Deps& deps, const Options& options);

}  // namespace gpuhost::vfio_manager
