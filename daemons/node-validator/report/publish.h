// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>

#include "daemons/node-validator/report/report.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::node_validator {

// For whoever waits for this node: node-ready in `directory` exists while the last report had
// nothing fatal. Withdraw removes it, before the node is looked at; Publish replaces
// node-validator.report.json and node-validator.prom and writes it again.
absl::Status Withdraw(HostFs& fs, const std::string& directory);
absl::Status Publish(HostFs& fs, const std::string& directory, const Report& report,
                     std::time_t now);

// The report as gauges for node_exporter's textfile collector. What is unknown or was not asked is
// neither 0 nor 1, and only counted.
std::string RenderGauges(const Report& report, std::time_t now);

}  // namespace gpuhost::node_validator
