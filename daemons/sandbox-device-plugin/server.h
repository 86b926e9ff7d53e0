// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/allocate.h"
#include "daemons/sandbox-device-plugin/grants.h"
#include "daemons/sandbox-device-plugin/partition.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

struct Serving {
  std::string resource;  // "nvidia.com/pgpu"
  std::string socket;    // the path to listen on
  FindDevice find;       // called on many threads
  // Makes units ready for who gets them, and may take seconds; called on many threads.
  std::function<absl::Status(const std::vector<Unit>&)> prepare = [](const std::vector<Unit>&) {
    return absl::OkStatus();
  };
  std::shared_ptr<Grants> grants = std::make_shared<Grants>();
  std::function<void()> changed = [] {};  // something that the loop should look at; many threads
  bool check_start = false;               // have the kubelet ask before each start of a container
  bool environment = false;               // tell containers their addresses, as KubeVirt wants it
  Partitions partitions;                  // of the GPUs, for preferences
  bool watched = false;                   // also answer the kubelet's plugin watcher
};

// v1beta1.DevicePlugin for one resource on a Unix socket. Requests are answered on threads of gRPC,
// from memory and sysfs alone (but for what `prepare` does, in a time of its own), for the kubelet
// waits for them without a deadline and admits no pod meanwhile.
class Server {
 public:
  // Serves at once. kUnavailable when nothing can listen on the socket.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Clock& clock, Serving service);
  // Ends all streams, then removes the socket.
  ~Server();

  // From now on this is the list; every open stream gets it. A stream that is behind gets the
  // newest list only.
  void Publish(std::vector<Listed> listed);
  // The last list of every stream is empty, so that the node's capacity drops at once.
  void EmptyAtEnd() { empty_at_end_ = true; }

  // Somebody follows the list.
  bool Followed() const;
  // What the plugin watcher said last; empty before.
  std::optional<absl::Status> Registration() const;

  struct Counters {
    void operator+=(const Counters& other);

    uint64_t allocated = 0;  // requests
    uint64_t refused = 0;
    Duration spent{};  // on all of them
  };
  Counters counters() const;

 private:
  struct Running;
  explicit Server(std::unique_ptr<Running> running);
  std::unique_ptr<Running> running_;
  bool empty_at_end_ = false;
};

// Makes gRPC write its own lines at debug level; what matters comes back as a status.
void LogGrpcAtDebug();

}  // namespace gpuhost::sandbox_device_plugin
