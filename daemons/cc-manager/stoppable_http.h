// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "daemons/common/kube/curl_client.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::cc_manager {

// Requests of a process that is to end within the time that a pod is given: the one that is under
// way when the stop signal comes ends with kCancelled, or the next one, so that its caller hears of
// it. From then on there is time for a last word.
class StoppableHttp : public kube::HttpClient {
 public:
  // `stop_fd` becomes readable, and stays so, when the process is to end; -1: never. `last_word`:
  // how long all later requests may take together.
  StoppableHttp(int stop_fd, Clock& clock, Duration last_word = std::chrono::seconds(5))
      : clock_(clock), last_word_(last_word), until_stop_(stop_fd) {}

  absl::StatusOr<kube::Response> Stream(const kube::Endpoint& endpoint,
                                        const kube::Request& request,
                                        const kube::BodySink& sink) override;

 private:
  Clock& clock_;
  Duration last_word_;
  kube::CurlClient until_stop_, afterwards_;
  std::optional<TimePoint> stopped_;
};

}  // namespace gpuhost::cc_manager
