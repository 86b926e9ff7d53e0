// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/endpoint.h"

#include <sys/un.h>

#include "daemons/sandbox-device-plugin/hash.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {

absl::StatusOr<std::string> EndpointName(std::string_view directory, std::string_view resource,
                                         uint32_t instance) {
  constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
  std::string name = fmt::format("sandbox-{}-{:08x}.sock", resource, instance);
  if (directory.size() + 1 + name.size() > kMaxPath) {
    name = fmt::format("sandbox-{:08x}-{:08x}.sock", StableHash(resource), instance);
  }
  if (directory.size() + 1 + name.size() > kMaxPath) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "{}: the path of a socket in this directory would be longer than {} bytes; take a "
                 "shorter directory",
                 directory, kMaxPath);
  }
  return name;
}

}  // namespace gpuhost::sandbox_device_plugin
