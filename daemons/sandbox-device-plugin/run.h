// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/sandbox-device-plugin/options.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// A pass at start and after every change among devices or the kubelet's sockets, until SIGTERM.
// Returns the exit status.
int RunDaemon(HostFs& fs, Clock& clock, const Options& options);

}  // namespace gpuhost::sandbox_device_plugin
