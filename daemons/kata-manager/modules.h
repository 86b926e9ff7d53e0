// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/vfio/modules.h"

namespace gpuhost::kata_manager {

// Makes sure that guests can talk to the host (vhost_vsock) and have a fast network (vhost_net).
// kFailedPrecondition names the module that the kernel does not have, and what to do.
absl::Status EnsureModules(const HostFs& fs, const vfio::LoadModule& load);

}  // namespace gpuhost::kata_manager
