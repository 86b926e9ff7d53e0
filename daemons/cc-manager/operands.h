// SPDX-License-Identifier: Apache-2.0
//
// The GPU Operator's other pods on a node, where they are not ours: how they are sent away for the
// time of a change, and called back. A DaemonSet of the operator runs on a node while a deploy
// label of it says "true". Pausing puts a token into that label, from which the former value can be
// read back: the label itself is the record that a pause is on. Everything here is a pure function.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gpuhost::cc_manager {

using Labels = std::map<std::string, std::string>;
using LabelPatch = std::map<std::string, std::optional<std::string>>;  // nothing: remove it

// NVIDIA's cc-manager writes the same token, so each of the two mends what the other one left.
inline constexpr std::string_view kPauseToken = "paused-for-cc-mode-change";

// What pauses the operands that `labels` deploy on this node. Empty: there are none, or all of them
// are paused already. Absent and empty labels and "false" stay as they are, and so does a value to
// which the token cannot be added within the 63 characters of a label; none of these deploys
// anything.
LabelPatch PausePatch(const Labels& labels);

// What takes our token out of the labels of now, whatever has happened to them meanwhile. Other
// programs' tokens stay.
LabelPatch RestorePatch(const Labels& labels);

// Empty deploy labels, as older versions left them where there had been none; to be removed,
// because some operators take them for a refusal of the administrator.
LabelPatch RemoveEmptyPatch(const Labels& labels);

// Whether a patch changes a deploy label of an operand.
bool TouchesOperands(const LabelPatch& patch);

// Whether a pod with these labels is one of those that a pause sends away.
bool IsPausedOperand(const Labels& pod_labels);

// The value without our token; nothing when it has none.
std::optional<std::string> WithoutToken(std::string_view value);

}  // namespace gpuhost::cc_manager
