// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <functional>
#include <mutex>
#include <optional>

#include "daemons/common/kube/endpoint.h"
#include "daemons/common/kube/exec_plugin.h"

namespace gpuhost::kube {

// Where the API server is, asked for each request: files are read anew each time, an exec plugin is
// run anew when its credential expires or was refused. Safe to use from many threads.
class EndpointSource {
 public:
  using Now = std::function<std::time_t()>;
  // `own` must outlive it.
  EndpointSource(
      const HostFs& own, Access access, Now now = [] { return std::time(nullptr); })
      : own_(own), access_(std::move(access)), now_(std::move(now)) {}

  // Errors of LoadEndpoint and RunPlugin.
  absl::StatusOr<Endpoint> Load();
  // The server did not accept the last credential.
  void Refused();

 private:
  const HostFs& own_;
  const Access access_;
  const Now now_;
  std::mutex mutex_;
  std::optional<Credential> kept_;  // of the exec plugin
};

}  // namespace gpuhost::kube
