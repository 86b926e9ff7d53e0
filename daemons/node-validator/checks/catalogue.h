// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "daemons/node-validator/checks/check.h"

namespace gpuhost::node_validator {

Group ProcessorChecks();
Group SnpChecks();
Group TdxChecks();
Group IommuChecks();
Group GpuChecks();
Group ModeChecks();
Group ContainerdChecks();
Group HandlerChecks();
Group KataFileChecks();
Group KataValueChecks();
Group KubeletChecks();
Group CdiChecks();
Group NodeChecks();
Group ClusterChecks();

// All of them, in the order in which a person would look.
std::span<const Group> Catalogue();
// nullptr for an id that there is not. Letters may be small.
const Check* FindCheck(std::string_view id);

}  // namespace gpuhost::node_validator
