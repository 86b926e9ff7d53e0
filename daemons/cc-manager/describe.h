// SPDX-License-Identifier: Apache-2.0
//
// The plan of a change, for --dry-run.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/cc/plan.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::cc_manager {

// What will be done to one device.
struct Intent {
  pci::Bdf bdf;
  absl::StatusOr<cc::State> state;     // now; an error when it cannot be read
  bool takes_part = false;             // false: nothing will be done
  std::optional<cc::DevicePlan> plan;  // of one that takes part and whose state is known
};

// Reads only. An error is what stands in the way: kNotFound: no GPU, else what cc::Admit refuses.
absl::StatusOr<std::vector<Intent>> PlanChange(const gpu::Host& host, cc::Mode mode, bool force);

// In words, a line for each device.
std::string RenderText(const std::vector<Intent>& intents);
std::string RenderJson(const std::vector<Intent>& intents, cc::Mode mode);

}  // namespace gpuhost::cc_manager
