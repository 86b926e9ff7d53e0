// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "daemons/common/kube/http.h"

namespace gpuhost::kube {

// HTTPS by libcurl. Keeps its connection between requests. One request at a time: a thread of its
// own needs a client of its own.
class CurlClient : public HttpClient {
 public:
  // Requests end as soon as `stop_fd` is readable; -1: never for that reason.
  explicit CurlClient(int stop_fd = -1);
  ~CurlClient() override;
  absl::StatusOr<Response> Stream(const Endpoint& endpoint, const Request& request,
                                  const BodySink& sink) override;

 private:
  struct Handles;
  struct Receiver;
  absl::Status Perform(const Receiver& receiver, Duration idle);

  std::unique_ptr<Handles> handles_;
  int stop_fd_;
};

}  // namespace gpuhost::kube
