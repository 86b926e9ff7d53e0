// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::gpuhostctl {

// What sandbox-device-plugin last published, as a table: each device, its name for the kubelet,
// whether it is offered, and who has it; below the table why not. kNotFound when the plugin has
// never run here. As JSON: {"schema": 1, "running": bool, "devices": [{...}]}.
absl::StatusOr<std::string> RenderDevices(const HostFs& fs, bool json = false);

}  // namespace gpuhost::gpuhostctl
