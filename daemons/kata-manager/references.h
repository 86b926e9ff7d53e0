// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "daemons/kata-manager/change.h"
#include "daemons/kata-manager/containerd/location.h"

namespace gpuhost::kata_manager {

// What the files of the container runtime, with all that they import, say of files below one of
// `directories` after `changes`, whoever has written it: "/etc/containerd/config.toml:
// plugins....ConfigPath = ...". An error where a file cannot be read or is no TOML: nobody knows
// then.
absl::StatusOr<std::vector<std::string>> ReferencesTo(const HostFs& fs, const HostFs& host,
                                                      const containerd::Location& where,
                                                      const std::vector<FileChange>& changes,
                                                      const std::vector<std::string>& directories);

}  // namespace gpuhost::kata_manager
