// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemons/cc-manager/labels.h"

namespace gpuhost::cc_manager {

// What becomes of those who use GPUs when the mode is to change.
enum class WorkloadPolicy {
  kWait,    // the change waits for them
  kRefuse,  // the change fails
  kDrain,   // their pods are evicted, within their PodDisruptionBudgets; the rest is waited for
  kForce,   // they lose their GPUs
};

struct Settings {
  WorkloadPolicy policy = WorkloadPolicy::kWait;
  bool patient = true;         // waits for an API server that does not answer
  bool evict_operands = true;  // pause operands of the GPU Operator that are not ours
  StateFormat format = StateFormat::kMirror;
  bool label_capable = false;  // also tell whether the node could be in mode on
  // Exists while a validator may go on; empty: none.
  std::string readiness_file;
  // Exists only while all devices are in the mode; else after any first pass, as validators of the
  // GPU Operator are used to.
  bool readiness_strict = false;
};

}  // namespace gpuhost::cc_manager
