// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/cc/execute.h"
#include "libgpuhost/cc/observe.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::cc_manager {

// All GPUs and NVSwitches of the machine with their effective mode and their users. Reads only.
absl::StatusOr<std::vector<cc::Observation>> ObserveNode(const gpu::Host& host);

// Brings all GPUs to `mode`: observe, admit, change, verify; publishes the status document
// before each phase that writes and at the end. An error means that nothing was changed: kNotFound
// no GPU here, else what Admit refused.
absl::StatusOr<cc::Outcome> Apply(const gpu::Host& host, cc::Mode mode, bool force);

// The plan in words, for --dry-run. A GPU whose mode cannot be read is told so.
absl::StatusOr<std::string> DescribePlan(const gpu::Host& host, cc::Mode mode, bool force);

}  // namespace gpuhost::cc_manager
