// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/publish.h"

#include "daemons/node-validator/report/json.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {

absl::Status Withdraw(HostFs& fs, const std::string& directory) {
  GPUHOST_TRY(fs.MakeDirectories(directory));
  return fs.Remove(directory + "/node-ready");
}

absl::Status Publish(HostFs& fs, const std::string& directory, const Report& report) {
  GPUHOST_TRY(fs.WriteFileAtomic(directory + "/node-validator.report.json",
                                 RenderReportJson(report), 0644));
  if (VerdictOf(report) == Verdict::kNotReady) return absl::OkStatus();
  return fs.WriteFileAtomic(directory + "/node-ready", "", 0644);
}

}  // namespace gpuhost::node_validator
