// SPDX-License-Identifier: Apache-2.0
//
// Two questions to daemons that speak gRPC on a socket. One request each over libcurl's HTTP/2, so
// that this program needs no gRPC.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::node_validator {

// The kubelet's words about a pod that does not exist, asked by Kata's own way: method Get of
// v1.PodResourcesLister. They tell whether the method is switched on. kUnavailable when nobody
// answers within `limit`.
absl::StatusOr<std::string> AskPodResources(const std::string& socket, Duration limit);

// The runtime handlers that the container runtime has loaded, one a line; containerd 1.7 and older
// name none. Source: CRI, runtime.v1.RuntimeService/Status, field runtime_handlers.
absl::StatusOr<std::string> AskRuntimeHandlers(const std::string& socket, Duration limit);

}  // namespace gpuhost::node_validator
