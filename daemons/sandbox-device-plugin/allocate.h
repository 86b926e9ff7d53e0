// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/health.h"

namespace gpuhost::sandbox_device_plugin {

// A device as it is at this moment; an error when it is not there.
using FindDevice = std::function<absl::StatusOr<pci::Device>(const pci::Bdf&)>;

// The device nodes for a container that gets the units `ids`, each node once: those of the units,
// and in front of group nodes the container node. `ids` come from outside and may be anything:
// kInvalidArgument when one is not listed, or there are more than are listed; kFailedPrecondition
// when a unit is unhealthy or its devices are not what was listed. The texts go into the events of
// the pod.
absl::StatusOr<std::vector<std::string>> Allocate(const std::vector<Listed>& listed,
                                                  const std::vector<std::string>& ids,
                                                  const FindDevice& find);

}  // namespace gpuhost::sandbox_device_plugin
