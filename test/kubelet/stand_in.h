// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::kubelet {

struct Device {
  std::string id;
  bool healthy = false;
  std::vector<int64_t> numa;  // empty: no topology

  bool operator==(const Device&) const = default;
};

struct Resource {
  std::string endpoint;
  int registrations = 0;
  bool connected = false;  // a ListAndWatch stream is open
  bool preferred_allocation = false;
  bool pre_start = false;
  std::vector<Device> devices;  // the newest list
  int lists = 0;                // how many came, also equal ones
};
using Resources = std::map<std::string, Resource>;  // by name: "nvidia.com/pgpu"

struct DeviceSpec {
  std::string host_path;
  std::string container_path;
  std::string permissions;

  bool operator==(const DeviceSpec&) const = default;
};

// The kubelet's side of the device plugin API over real gRPC, in the order of the real one: at
// start it removes all sockets of its directory; on Register it checks the request, dials the
// endpoint, asks for the options, answers, and follows ListAndWatch. When a stream ends it does not
// come back by itself.
class StandIn {
 public:
  // What there is to see, one line each, already in order; called on threads of the stand-in.
  using Print = std::function<void(const std::string& line)>;

  // kUnavailable when DIRECTORY/kubelet.sock cannot be served.
  static absl::StatusOr<std::unique_ptr<StandIn>> Start(const std::string& directory, Print print);
  // Dies like a kubelet: streams end, kubelet.sock goes.
  ~StandIn();

  Resources resources() const;
  // True as soon as `condition` holds, false when it does not within `limit`.
  bool WaitFor(Duration limit, const std::function<bool(const Resources&)>& condition) const;

  // What the kubelet's plugin watcher does when it finds a socket: asks who is there, then as after
  // Register, and says how it went. The error, if any, is what the plugin was told.
  absl::Status Discover(const std::string& socket);

  // Asks the plugin of `resource`, as for one container.
  absl::StatusOr<std::vector<DeviceSpec>> Allocate(const std::string& resource,
                                                   const std::vector<std::string>& ids);
  // Likewise; the environment that the container gets.
  absl::StatusOr<std::map<std::string, std::string>> Environment(
      const std::string& resource, const std::vector<std::string>& ids);
  // The answer to GetPreferredAllocation for one container: ids.
  absl::StatusOr<std::vector<std::string>> Prefer(const std::string& resource,
                                                  const std::vector<std::string>& available,
                                                  int count);
  absl::Status PreStart(const std::string& resource, const std::vector<std::string>& ids);

 private:
  class Registry;
  explicit StandIn(std::unique_ptr<Registry> registry);
  std::unique_ptr<Registry> registry_;
};

}  // namespace gpuhost::kubelet
