// SPDX-License-Identifier: Apache-2.0
//
// The kubelet as a plugin sees it: a socket to register at, which is made anew when it restarts.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <optional>
#include <string>

#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

// Which kubelet is listening. A restarted one differs, even if its socket got the same inode.
struct KubeletId {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t changed = 0;  // ns

  bool operator==(const KubeletId&) const = default;
};

// Empty when there is no socket at `path`.
std::optional<KubeletId> FindKubelet(const std::string& path);

// Tells the kubelet behind `kubelet_socket` that `endpoint`, a socket beside it, serves
// `resource_name` ("nvidia.com/pgpu"). Waits up to `limit`, for the kubelet calls back meanwhile.
// kUnavailable while it does not listen, kDeadlineExceeded, or what the kubelet objects to.
absl::Status Register(const std::string& kubelet_socket, const std::string& endpoint,
                      const std::string& resource_name, Duration limit);

}  // namespace gpuhost::sandbox_device_plugin
