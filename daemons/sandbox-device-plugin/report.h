// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemons/common/service/status_document.h"
#include "daemons/sandbox-device-plugin/health.h"
#include "daemons/sandbox-device-plugin/pods.h"

namespace gpuhost::sandbox_device_plugin {

// What other daemons and gpuhostctl are told.
struct ReportInput {
  std::map<std::string, std::vector<Listed>> listed;  // by resource: "nvidia.com/pgpu"
  const Pods& pods;                                   // asked after `listed` was in force
  // Resource and id of what is being given away or was a moment ago: `pods` may not know yet.
  std::set<std::pair<std::string, std::string>> just_allocated;
  std::string transition;  // the change of mode whose withdrawals are in `listed`
};

service::StatusDocument MakeReport(const ReportInput& input);

}  // namespace gpuhost::sandbox_device_plugin
