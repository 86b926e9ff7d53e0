// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/modules.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {

absl::Status EnsureModules(const HostFs& fs, const vfio::LoadModule& load) {
  for (const char* module : {"vhost_vsock", "vhost_net"}) {
    // Their device nodes are there before they are.
    if (fs.Exists(fmt::format("/sys/module/{}", module))) continue;
    const absl::Status loaded = load(module);
    if (loaded.ok()) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "module {} cannot be loaded: {}; without it no Kata guest starts. Install the "
                 "kernel's modules, or have it loaded at boot by /etc/modules-load.d",
                 module, Text(loaded));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
