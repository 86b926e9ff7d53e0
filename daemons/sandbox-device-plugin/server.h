// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/allocate.h"

namespace gpuhost::sandbox_device_plugin {

// v1beta1.DevicePlugin for one resource on a Unix socket. Requests are answered on threads of gRPC,
// from memory and sysfs alone, for the kubelet waits for them without a deadline and admits no pod
// meanwhile.
class Server {
 public:
  // Serves at once. `find` is called on many threads. kUnavailable when nothing can listen on
  // `socket`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const std::string& resource,
                                                       const std::string& socket, FindDevice find);
  // Ends all streams, then removes the socket.
  ~Server();

  // From now on this is the list; every open stream gets it. A stream that is behind gets the
  // newest list only.
  void Publish(std::vector<Listed> listed);

 private:
  class Service;
  struct Running;
  explicit Server(std::unique_ptr<Running> running);
  std::unique_ptr<Running> running_;
};

// Makes gRPC write its own lines at debug level; what matters comes back as a status.
void LogGrpcAtDebug();

}  // namespace gpuhost::sandbox_device_plugin
