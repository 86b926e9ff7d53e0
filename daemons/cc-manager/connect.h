// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/our_node.h"
#include "daemons/cc-manager/stoppable_http.h"
#include "daemons/common/kube/endpoint_source.h"

namespace gpuhost::cc_manager {

// The way to our node in Kubernetes.
struct Cluster {
  Cluster(kube::Access access, const std::string& name, const std::string& name_space, int stop_fd)
      : source(own, std::move(access)),
        http(stop_fd, clock),
        node(http, source, name, name_space) {}

  HostFs own;
  SystemClock clock;
  kube::EndpointSource source;
  StoppableHttp http;
  OurNode node;
};

// As the options say; nullptr without Kubernetes. kInvalidArgument when they want it and there is
// no way to its API server. Asks nobody yet. `stop_fd`: see StoppableHttp.
absl::StatusOr<std::unique_ptr<Cluster>> Connect(const Options& options, int stop_fd = -1);

}  // namespace gpuhost::cc_manager
