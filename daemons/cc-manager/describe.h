// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/cc/mode.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::cc_manager {

// The plan of a change in words, for --dry-run. Reads only. A GPU whose mode cannot be read is told
// so; an error is what stands in the way: kNotFound: no GPU, else what cc::Admit refuses.
absl::StatusOr<std::string> DescribePlan(const gpu::Host& host, cc::Mode mode, bool force);

}  // namespace gpuhost::cc_manager
