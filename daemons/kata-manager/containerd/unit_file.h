// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::containerd {

// The command of a service's ExecStart with the variables of its Environment, from the unit's file
// and drop-ins: for where systemd cannot be asked. Empty: there is no such unit, or it has none.
// Source: systemd.unit(5), systemd.service(5).
std::vector<std::string> CommandInUnitFile(const HostFs& host, const std::string& unit);

}  // namespace gpuhost::kata_manager::containerd
