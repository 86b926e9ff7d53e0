// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/operands.h"

#include <algorithm>

namespace gpuhost::cc_manager {
namespace {

constexpr size_t kLongestValue = 63;

constexpr auto kDeployLabels = std::to_array<const char*>({
    "nvidia.com/gpu.deploy.vfio-manager",
    "nvidia.com/gpu.deploy.vgpu-manager",
    "nvidia.com/gpu.deploy.sandbox-validator",
    "nvidia.com/gpu.deploy.sandbox-device-plugin",
    "nvidia.com/gpu.deploy.kata-sandbox-device-plugin",
    "nvidia.com/gpu.deploy.vgpu-device-manager",
});

// Values of the labels `app` and `name`; which of the two an operand carries differs.
constexpr auto kOperands = std::to_array<std::string_view>({
    "nvidia-vfio-manager",
    "nvidia-vgpu-manager",
    "nvidia-vgpu-manager-daemonset",
    "nvidia-sandbox-validator",
    "nvidia-sandbox-device-plugin-daemonset",
    "nvidia-kata-sandbox-device-plugin-daemonset",
    "nvidia-vgpu-device-manager",
});

// Where the token stands as a whole, between underscores or at an end.
size_t FindToken(std::string_view value) {
  for (size_t at = value.find(kPauseToken); at != value.npos;
       at = value.find(kPauseToken, at + 1)) {
    const size_t end = at + kPauseToken.size();
    if ((at == 0 || value[at - 1] == '_') && (end == value.size() || value[end] == '_')) return at;
  }
  return value.npos;
}

std::optional<std::string> Paused(const std::string& value) {
  if (value.empty() || value == "false" || FindToken(value) != value.npos) return std::nullopt;
  if (value == "true") return std::string(kPauseToken);
  const std::string paused = value + "_" + std::string(kPauseToken);
  return paused.size() <= kLongestValue ? std::optional(paused) : std::nullopt;
}

template <typename Change>  // std::optional<std::string>(const std::string& value)
LabelPatch PatchOf(const Labels& labels, Change change) {
  LabelPatch patch;
  for (const char* key : kDeployLabels) {
    const auto label = labels.find(key);
    if (label == labels.end()) continue;
    if (auto changed = change(label->second)) patch[key] = std::move(*changed);
  }
  return patch;
}

}  // namespace

std::optional<std::string> WithoutToken(std::string_view value) {
  std::string rest(value);
  for (size_t at = FindToken(rest); at != rest.npos; at = FindToken(rest)) {
    const size_t from = at > 0 ? at - 1 : 0;
    const size_t length = kPauseToken.size() + (rest.size() > kPauseToken.size() ? 1 : 0);
    rest.erase(from, length);
  }
  if (rest == value) return std::nullopt;
  return rest.empty() ? "true" : rest;
}

LabelPatch PausePatch(const Labels& labels) { return PatchOf(labels, Paused); }

LabelPatch RestorePatch(const Labels& labels) { return PatchOf(labels, WithoutToken); }

LabelPatch RemoveEmptyPatch(const Labels& labels) {
  LabelPatch patch;
  for (const char* key : kDeployLabels) {
    const auto label = labels.find(key);
    if (label != labels.end() && label->second.empty()) patch[key] = std::nullopt;
  }
  return patch;
}

bool TouchesOperands(const LabelPatch& patch) {
  return std::ranges::any_of(kDeployLabels, [&](const char* key) { return patch.contains(key); });
}

bool IsPausedOperand(const Labels& pod_labels) {
  return std::ranges::any_of(std::to_array({"app", "name"}), [&](const char* key) {
    const auto label = pod_labels.find(key);
    return label != pod_labels.end() &&
           std::ranges::find(kOperands, label->second) != kOperands.end();
  });
}

}  // namespace gpuhost::cc_manager
