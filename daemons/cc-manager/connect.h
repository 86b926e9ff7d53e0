// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/delegated_files.h"
#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/our_node.h"
#include "daemons/cc-manager/stoppable_http.h"
#include "daemons/common/kube/endpoint_source.h"

namespace gpuhost::cc_manager {

// The way to our node in Kubernetes.
struct Cluster {
  Cluster(std::unique_ptr<const HostFs> credentials, kube::Access access, const std::string& name,
          const std::string& name_space, int stop_fd)
      : own(std::move(credentials)),
        source(*own, std::move(access)),
        http(stop_fd, clock),
        node(http, source, name, name_space) {}

  std::unique_ptr<const HostFs> own;
  SystemClock clock;
  kube::EndpointSource source;
  StoppableHttp http;
  OurNode node;
};

// As the options say, with credentials that are read by `own`; nullptr without Kubernetes.
// kInvalidArgument when they want it and there is no way to its API server. Asks nobody yet.
// `stop_fd`: see StoppableHttp.
absl::StatusOr<std::unique_ptr<Cluster>> Connect(const Options& options,
                                                 std::unique_ptr<const HostFs> own,
                                                 int stop_fd = -1);

// What the side that talks to the API server needs, told while it may still read everything.
struct ApiSideNeeds {
  DelegatedFiles files;
  ApiSide confinement;
};
absl::StatusOr<ApiSideNeeds> NeedsOf(const Options& options);

}  // namespace gpuhost::cc_manager
