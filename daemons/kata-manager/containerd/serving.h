// SPDX-License-Identifier: Apache-2.0
//
// Which containerd of the node serves the kubelet, with which files. Taken from the one that runs,
// as systemd and the kernel tell it, or else from the unit that would start it; never from what is
// installed. What a process says of itself counts only once it is known to be the node's own.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "daemons/kata-manager/containerd/location.h"
#include "daemons/kata-manager/services.h"

namespace gpuhost::kata_manager::containerd {

struct Node {
  const HostFs& fs;    // with containerd's configuration
  const HostFs& host;  // the host's tree and /proc
  Services& services;
};

// kFailedPrecondition where two answers differ, naming both: two distributions that run, the file
// of the process and of its unit or of the hints, the socket and that of the kubelet.
// kInvalidArgument for a flavor that there is not.
absl::StatusOr<Location> FindServing(const Node& node, const Hints& hints);

// The value of a global option of containerd ("c", "config") in its command line; words behind a
// subcommand do not count. Source: containerd(8).
std::optional<std::string> OptionIn(const std::vector<std::string>& command,
                                    const std::vector<std::string>& names);

}  // namespace gpuhost::kata_manager::containerd
