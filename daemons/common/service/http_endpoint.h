// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemons/common/service/metrics.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::service {

// /metrics, /healthz and /readyz over plain HTTP, for Prometheus and for probes. They answer GET
// alone, tell nothing that the node's labels do not tell, and take no input.
class HttpEndpoint {
 public:
  struct Answers {
    const Metrics& metrics;
    std::function<bool()> healthy;  // 200 or 503; called from other threads
    std::function<bool()> ready;
  };
  // Whoever reaches the port can take connections and send them byte by byte. What is above a limit
  // is closed without an answer.
  struct Limits {
    size_t connections = 16;                           // at one time, of everybody
    size_t of_one_address = 4;                         // so that nobody keeps all others out
    Duration whole_request = std::chrono::seconds(5);  // from connecting to the end
  };
  // `address`: "127.0.0.1:9400", "[::1]:9400"; port 0 takes any. kInvalidArgument when it is none,
  // kUnavailable when it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Listen(const std::string& address,
                                                              Answers answers,
                                                              const Limits& limits);
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Listen(const std::string& address,
                                                              Answers answers) {
    return Listen(address, std::move(answers), Limits());
  }
  virtual ~HttpEndpoint() = default;
  virtual int port() const = 0;
};

}  // namespace gpuhost::service
