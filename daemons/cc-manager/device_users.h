// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/cc/observe.h"

namespace gpuhost::cc_manager {

inline constexpr std::string_view kHiddenUser = "a process that cannot be seen from here";

// Fills in who has each of the devices open, but for this process, which may hold them for a
// change. After a look that did not see all processes, each device may be in use.
void LookForUsers(HostFs& fs, std::span<cc::Observation> seen);

}  // namespace gpuhost::cc_manager
