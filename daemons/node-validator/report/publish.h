// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/report/report.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::node_validator {

// For whoever waits for this node: node-ready in `directory` exists while the last report had
// nothing fatal. Withdraw removes it, before the node is looked at; Publish replaces
// node-validator.report.json and writes it again.
absl::Status Withdraw(HostFs& fs, const std::string& directory);
absl::Status Publish(HostFs& fs, const std::string& directory, const Report& report);

}  // namespace gpuhost::node_validator
