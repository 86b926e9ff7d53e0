// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Kata's sandboxes that run on this node with one of these handlers, by their ids: from the shims
// among root's processes, and from what containerd wrote down for each of them. One whose handler
// is written down nowhere counts, and a shim whose sandbox cannot be read as "process <number>".
std::vector<std::string> SandboxesOf(const HostFs& fs, const std::vector<std::string>& handlers);

// Whether a process of root's, or a guest that such a one has started, has a file below `directory`
// open or mapped, or names it in its command line. Also where that cannot be told.
bool IsInUse(const HostFs& fs, const std::string& directory);

}  // namespace gpuhost::kata_manager
