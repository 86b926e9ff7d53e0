// SPDX-License-Identifier: Apache-2.0
//
// The node labels by which cc-manager and its administrator understand each other. Names and values
// are those of NVIDIA's k8s-cc-manager: RuntimeClasses of Kata select nodes by them.
#pragma once

#include "daemons/common/kube/json.h"
#include "libgpuhost/cc/mode.h"

namespace gpuhost::cc_manager {

inline constexpr const char* kModeLabel = "nvidia.com/cc.mode";               // theirs
inline constexpr const char* kModeStateLabel = "nvidia.com/cc.mode.state";    // ours
inline constexpr const char* kReadyStateLabel = "nvidia.com/cc.ready.state";  // ours

// The label's mode; `fallback` where it is absent or empty. kInvalidArgument for any other text.
absl::StatusOr<cc::Mode> WantedMode(const kube::Labels& labels, cc::Mode fallback);

// What the two labels of ours say once all GPUs are in `reached`, or, with nothing, after a pass
// that failed: mode.state is the mode or "failed"; ready.state is "true" (a confidential VM can
// start), "false" (an ordinary one can) or "" (neither).
kube::LabelPatch StateLabels(std::optional<cc::Mode> reached);

}  // namespace gpuhost::cc_manager
