// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "daemons/common/kube/curl_client.h"
#include "daemons/kata-manager/artifacts/background.h"
#include "daemons/kata-manager/artifacts/fetch.h"
#include "daemons/kata-manager/artifacts/secrets.h"
#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

// What a pass works with on a real node: its files, systemd, containerd's program, the network.
// `run` fetches beside its passes, all other verbs while they are waited for.
class Production {
 public:
  // Requests and waits end when `stop_fd` is readable. `clock`: another one than the system's.
  Production(const Options& options, int stop_fd, Clock* clock = nullptr);

  ~Production();

  Deps deps();

 private:
  Stopping stopping() const;
  std::unique_ptr<artifacts::BackgroundFetch> MakeBackground();

  const Options& options_;
  const int stop_fd_;
  SystemClock system_clock_;
  Clock& clock_;
  HostFs fs_;
  const HostFs host_;
  const std::unique_ptr<Services> services_;
  // Ends before what it works with does: see the destructor.
  const std::unique_ptr<artifacts::BackgroundFetch> background_;  // of run
  kube::CurlClient http_;
  const artifacts::Secrets secrets_;
  TimePoint told_;  // of progress
  const std::shared_ptr<Heartbeat> heartbeat_ = std::make_shared<Heartbeat>();
  artifacts::Fetcher fetcher_;
};

}  // namespace gpuhost::kata_manager
