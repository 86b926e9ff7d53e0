// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "daemons/common/kube/client.h"
#include "daemons/node-validator/observe/containerd_merge.h"
#include "daemons/node-validator/observe/host.h"

namespace gpuhost::node_validator {

// What the API server says, where it may be asked. kPermissionDenied: it was asked, and did not
// tell us; any other error: we have no access to it.
struct ClusterFacts {
  Known<kube::Node> node = absl::UnavailableError("it was not asked for a node; see --node-name");
  Known<std::vector<kube::RuntimeClass>> classes =
      absl::UnavailableError("the API server was not asked");
  Known<Version> version = absl::UnavailableError("the API server was not asked");
};

// Three requests at most; `node` may be empty.
ClusterFacts ObserveCluster(kube::Client& client, const std::string& node);

// An amount of what comes in pieces, as device plugins and Node Feature Discovery report it: "509",
// "2k", "1Ki". Empty for anything else, fractions included.
std::optional<uint64_t> ParsePieces(std::string_view quantity);

}  // namespace gpuhost::node_validator
