// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::node_validator {

// The kubelet's words about a pod that does not exist, asked by Kata's own way: method Get of
// v1.PodResourcesLister. They tell whether the method is switched on. kUnavailable when nobody
// answers within `limit`.
absl::StatusOr<std::string> AskPodResources(const std::string& socket, Duration limit);

}  // namespace gpuhost::node_validator
