// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

// Containers, as "namespace/pod/container", by what they have: resource ("nvidia.com/pgpu") and id.
using Assignments = std::map<std::pair<std::string, std::string>, std::vector<std::string>>;

// Asks the kubelet's pod-resources API at `socket`. It knows a device to be assigned a moment after
// Allocate was answered. kUnavailable when nobody listens there, kDeadlineExceeded after `limit`,
// or what the kubelet objects to.
absl::StatusOr<Assignments> ListAssignments(const std::string& socket, Duration limit);

}  // namespace gpuhost::sandbox_device_plugin
