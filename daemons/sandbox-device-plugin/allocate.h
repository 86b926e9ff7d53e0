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

struct Allocation {
  std::vector<Unit> units;         // in the order of the request
  std::vector<std::string> nodes;  // each once; in front of group nodes the container node
  std::vector<pci::Bdf> bdfs;      // in the order of the request
};

// What a container that gets the units `ids` needs. `ids` come from outside and may be anything:
// kInvalidArgument when one is not listed, or there are more than are listed; kFailedPrecondition
// when a unit is unhealthy or its devices are not what was listed. The texts go into the events of
// the pod.
absl::StatusOr<Allocation> Allocate(const std::vector<Listed>& listed,
                                    const std::vector<std::string>& ids, const FindDevice& find);

// The same for units that were allocated before and whose container starts: a unit that is
// unhealthy by somebody's decision and not by what it is may be used by whom it was given to.
absl::Status CheckStart(const std::vector<Listed>& listed, const std::vector<std::string>& ids,
                        const FindDevice& find);

}  // namespace gpuhost::sandbox_device_plugin
