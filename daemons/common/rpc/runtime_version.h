// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::rpc {

struct RuntimeVersion {
  std::string name;     // "containerd", "cri-o", "docker"
  std::string version;  // "1.7.35", "v2.2.9", "1.6.20~ds1"
};

// What the container runtime at this socket says it is.
//   kUnavailable    nobody answers within `limit`, or is not ready to
//   kUnimplemented  it has no CRI, or not version 1 of it
// Source: CRI, runtime.v1.RuntimeService/Version.
absl::StatusOr<RuntimeVersion> AskRuntimeVersion(const std::string& socket, Duration limit);

}  // namespace gpuhost::rpc
