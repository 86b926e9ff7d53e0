// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gpuhost::vfio_manager {

// Where the host's file tree is. `given` comes from $HOST_ROOT or is a default; the GPU Operator
// sets the variable to a path of the host, which is not where its DaemonSet has mounted it. So
// `mounted` is taken where it holds a whole host and anything but "/" was given; else `given` where
// that does; else "/".
std::string HostRoot(const std::string& given, const std::string& mounted);

}  // namespace gpuhost::vfio_manager
