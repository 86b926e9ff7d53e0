// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

namespace gpuhost::kubelet {

// A real gRPC server that answers one method with the bytes that it is told and does not know any
// other.
class ScriptedMethod {
 public:
  // `method` like "/runtime.v1.RuntimeService/Status". kUnavailable when `socket` cannot be served.
  static absl::StatusOr<std::unique_ptr<ScriptedMethod>> Start(const std::string& socket,
                                                               const std::string& method,
                                                               const std::string& answer);
  ~ScriptedMethod();

 private:
  class Server;
  explicit ScriptedMethod(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace gpuhost::kubelet
