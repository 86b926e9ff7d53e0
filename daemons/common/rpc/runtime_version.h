// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::rpc {

struct RuntimeVersion {
  std::string name;     // "containerd", "cri-o"
  std::string version;  // "v2.1.4"
};

// Asks the container runtime at this socket which one it is.
//   kUnavailable    nobody answers within `limit`, or is not ready to
//   kUnimplemented  it has no CRI, or not version 1 of it
// Source: CRI, runtime.v1.RuntimeService/Version.
absl::StatusOr<RuntimeVersion> AskRuntimeVersion(const std::string& socket, Duration limit);

}  // namespace gpuhost::rpc
