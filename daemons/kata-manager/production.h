// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "daemons/common/kube/curl_client.h"
#include "daemons/kata-manager/artifacts/fetch.h"
#include "daemons/kata-manager/artifacts/secrets.h"
#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

// What a pass works with on a real node: its files, systemd, containerd's program, the network.
class Production {
 public:
  // Requests and waits end when `stop_fd` is readable.
  Production(const Options& options, int stop_fd);

  Deps deps();

 private:
  const Options& options_;
  const int stop_fd_;
  HostFs fs_;
  const HostFs host_;
  SystemClock clock_;
  const std::unique_ptr<Services> services_;
  kube::CurlClient http_;
  const artifacts::Secrets secrets_;
  TimePoint told_;  // of progress
  const std::shared_ptr<Heartbeat> heartbeat_ = std::make_shared<Heartbeat>();
  artifacts::Fetcher fetcher_;
};

}  // namespace gpuhost::kata_manager
