// SPDX-License-Identifier: Apache-2.0
//
// The node labels by which cc-manager and its administrator understand each other. Names and values
// are those of NVIDIA's k8s-cc-manager: RuntimeClasses of Kata select nodes by them. Everything
// here is a pure function.
#pragma once

#include <absl/status/statusor.h>

#include "daemons/cc-manager/stand.h"
#include "daemons/common/kube/json.h"

namespace gpuhost::cc_manager {

inline constexpr const char* kModeLabel = "nvidia.com/cc.mode";               // theirs
inline constexpr const char* kModeStateLabel = "nvidia.com/cc.mode.state";    // ours
inline constexpr const char* kReadyStateLabel = "nvidia.com/cc.ready.state";  // ours
inline constexpr const char* kCapableLabel = "nvidia.com/cc.capable";  // ours, where asked for
inline constexpr const char* kStatusAnnotation = "nvidia.com/cc.manager.status";

// The label's mode; `fallback` where it is absent or empty. kInvalidArgument for any other text.
absl::StatusOr<cc::Mode> WantedMode(const kube::Labels& labels,
                                    const absl::StatusOr<cc::Mode>& fallback);

// What mode.state says.
enum class StateFormat {
  kMirror,  // the mode that the node is in, also while another one is being set; or "failed"
  kSeed,    // "off" while a change is under way, "on" when it is done; or "failed"
};

// The mode that the node is in by its label; nothing when the label does not name one.
std::optional<cc::Mode> ShownMode(const kube::Labels& labels, StateFormat format);

// What makes a node show where it stands; empty when it does already.
//   mode.state   see StateFormat
//   ready.state  "true": a confidential VM can start; "false": an ordinary one can; "": neither, so
//                during a change and after a failure
//   deploy labels of operands that are not ours: paused or as they were, see operands.h
//   cc.capable   "true" or absent, where somebody wants to know
//   annotation   wanted mode, phase and reason, for people
// A node without GPUs gets none of these but the deploy labels.
kube::NodePatch Show(const Stand& stand, StateFormat format, const kube::Node& node);

}  // namespace gpuhost::cc_manager
