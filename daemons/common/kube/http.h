// SPDX-License-Identifier: Apache-2.0
//
// The only way to the network. Production passes CurlClient; tests may pass answers of their own.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>

#include "daemons/common/kube/endpoint.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::kube {

struct Request {
  std::string method = "GET";
  std::string path;  // with query: "/api/v1/nodes/x?timeoutSeconds=5"
  std::string body;
  std::string content_type;  // of the body
  Duration limit = std::chrono::seconds(30);
};

struct Response {
  int code = 0;  // HTTP status
  std::string body;
  std::optional<Duration> retry_after;  // what the server asks for with 429 and 503
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // One request, one whole answer of whatever status. An error means that there is none:
  //   kUnavailable         not reached, or the connection broke; worth another try
  //   kDeadlineExceeded    not within request.limit
  //   kFailedPrecondition  the server's certificate or ours is not accepted
  //   kResourceExhausted   the answer is larger than any Kubernetes object
  virtual absl::StatusOr<Response> Send(const Endpoint& endpoint, const Request& request) = 0;
};

}  // namespace gpuhost::kube
