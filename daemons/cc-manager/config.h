// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>

#include "daemons/cc-manager/settings.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// What /etc/gpuhost/cc-manager.toml says on a machine without Kubernetes:
//
//   mode = "on"                       # off, on, devtools or ppcie
//   workload-policy = "wait"          # wait, refuse or force
//   http-address = "127.0.0.1:9400"   # metrics and probes; only read at the start
struct Config {
  std::optional<cc::Mode> mode;
  std::optional<WorkloadPolicy> policy;
  std::string http_address;
};

// kNotFound when there is no such file; kInvalidArgument, with line and column, for what is not
// TOML, for unknown keys and values, and for modes of single GPUs: a node has one mode.
absl::StatusOr<Config> ReadConfig(const HostFs& fs, const std::string& path);

// "wait", "refuse", "drain" or "force".
absl::StatusOr<WorkloadPolicy> ParsePolicy(std::string_view text);

}  // namespace gpuhost::cc_manager
