// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/containerd.h"

namespace gpuhost::node_validator {

// A systemd service with its drop-ins, as systemd would read it: those of /etc win over those of
// /run, and these over the packages'. An empty path where there is no such unit. Source:
// systemd.unit(5).
Unit ReadUnit(const Tree& tree, const std::string& name);

}  // namespace gpuhost::node_validator
