// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/service/signals.h"
#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

// `run`: a pass at start, after every change among PCI devices, CDI files, those of the container
// runtime and daemons, on SIGHUP and once a minute, until SIGTERM, which reverts nothing. The pid
// file comes with the first pass that found or made all as it should be. Returns the exit status.
int RunDaemon(Deps& deps, const Options& options, const service::StopSignal& stop);

}  // namespace gpuhost::kata_manager
