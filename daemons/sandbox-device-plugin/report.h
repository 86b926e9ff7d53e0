// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/health.h"
#include "daemons/sandbox-device-plugin/pod_resources.h"

namespace gpuhost::sandbox_device_plugin {

// The status document of this plugin: each device of what is listed, by resource, with those who
// have it. `transition` names the change of mode whose withdrawals are in the lists; who has what
// was asked after that.
service::StatusDocument MakeReport(const std::map<std::string, std::vector<Listed>>& listed,
                                   const absl::StatusOr<Assignments>& assignments,
                                   const std::string& transition);

}  // namespace gpuhost::sandbox_device_plugin
