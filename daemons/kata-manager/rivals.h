// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Programs that are known to write such files as `path`, a CDI file or one of the container
// runtime's, and have left a trace on this node: "kata-deploy (it runs)", "kata-deploy
// (/etc/containerd/conf.d/kata-deploy.toml)". For a person: it proves nothing.
std::vector<std::string> RivalsFor(const HostFs& fs, const std::string& path);

// kAborted: the file was given up, who may be the reason, and what to do.
absl::Status GaveUp(const HostFs& fs, const std::string& path);

}  // namespace gpuhost::kata_manager
