// SPDX-License-Identifier: Apache-2.0
//
// The only way to the network. Production passes CurlClient; tests may pass answers of their own.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/common/kube/endpoint.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::kube {

struct Response {
  int code = 0;                                // HTTP status
  std::string body;                            // what no sink has taken
  std::map<std::string, std::string> headers;  // names in lower case; of several, lines
  std::optional<Duration> retry_after;         // what the server asks for with 429 and 503
};

struct Request {
  std::string method = "GET";
  std::string path;  // with query: "/api/v1/nodes/x?timeoutSeconds=5"
  std::string body;
  std::string content_type;  // of the body
  Duration limit = std::chrono::seconds(30);
  Duration idle = Duration::zero();  // longest silence once connected; zero: `limit` alone holds
  std::string accept = "application/json";
  std::vector<std::string> headers;  // others: "Range: bytes=7-"
  bool plain_http = false;           // also without TLS; never with an API server
  // Sees status and headers of a success before the sink gets its first byte; an error ends the
  // request with it.
  std::function<absl::Status(const Response& head)> on_head;
};

// Takes the body of a successful answer (2xx) piece by piece; an error ends the request with it.
using BodySink = std::function<absl::Status(std::string_view bytes)>;

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // One request, one answer of whatever status. An error means that there is none:
  //   kUnavailable         not reached, the connection broke, or nothing was heard on it for
  //                        request.idle; worth another try
  //   kDeadlineExceeded    not within request.limit
  //   kFailedPrecondition  the server's certificate or ours is not accepted
  //   kResourceExhausted   what no sink takes is larger than any Kubernetes object
  //   kCancelled           this process is about to end
  // and what the sink says.
  virtual absl::StatusOr<Response> Stream(const Endpoint& endpoint, const Request& request,
                                          const BodySink& sink) = 0;
  absl::StatusOr<Response> Send(const Endpoint& endpoint, const Request& request) {
    return Stream(endpoint, request, {});
  }
};

}  // namespace gpuhost::kube
