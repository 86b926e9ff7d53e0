// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace gpuhost::sandbox_device_plugin {

// Name of a socket in `directory` for `resource`: "sandbox-pgpu-0badcafe.sock". `instance` makes it
// unique for each start of a server, for the kubelet confuses an old and a new plugin behind one
// path. A long name of a resource is replaced by its hash where the path would not fit into 107
// bytes (sun_path); kInvalidArgument when even that does not help.
absl::StatusOr<std::string> EndpointName(std::string_view directory, std::string_view resource,
                                         uint32_t instance);

}  // namespace gpuhost::sandbox_device_plugin
