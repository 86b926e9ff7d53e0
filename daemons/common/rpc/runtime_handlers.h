// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <set>
#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::rpc {

// Names of the runtime handlers that a container runtime runs with; empty: it does not tell.
using RuntimeHandlers = std::optional<std::set<std::string>>;

// Asks the container runtime at this socket: containerd 2 names its handlers, older ones show them
// in the configuration that they run with, CRI-O before 1.31 does neither. Nothing else of that
// configuration, which may have passwords of registries in it, is kept.
//   kUnavailable    nobody answers within `limit`, or is not ready to
//   kUnimplemented  it has no CRI, or not version 1 of it
// Source: CRI, runtime.v1.RuntimeService/Status; containerd, docs/cri/crictl.md (info).
absl::StatusOr<RuntimeHandlers> AskRuntimeHandlers(const std::string& socket, Duration limit);

}  // namespace gpuhost::rpc
