// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "daemons/common/kube/http.h"

namespace gpuhost::kube {

// HTTPS by libcurl. Keeps its connection between requests. One request at a time: a thread of its
// own needs a client of its own.
class CurlClient : public HttpClient {
 public:
  CurlClient();
  ~CurlClient() override;
  absl::StatusOr<Response> Send(const Endpoint& endpoint, const Request& request) override;

 private:
  struct Easy;
  std::unique_ptr<Easy> easy_;
};

}  // namespace gpuhost::kube
