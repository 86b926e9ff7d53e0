// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

// Exit status of plan when there is something to do.
inline constexpr int kWouldChange = 2;

// Everything but `run`: one pass or one look. Returns the exit status.
int RunOnce(Deps& deps, const Options& options);

// What `plan` prints: differences of files, artefacts that are not there, and what becomes of the
// container runtime. Empty: nothing is to be done.
absl::StatusOr<std::string> DescribePlan(Deps& deps, const Options& options, const Config& config);

// What `status` prints.
std::string DescribeStatus(Deps& deps, const Options& options, const Config& config);

// What `verify` finds wrong, a line each; changes nothing.
std::vector<std::string> Verify(Deps& deps, const Options& options, const Config& config);

}  // namespace gpuhost::kata_manager
