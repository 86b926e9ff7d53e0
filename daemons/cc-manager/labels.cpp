// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/labels.h"

#include "daemons/cc-manager/operands.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

std::string ReadyState(cc::Mode mode) {
  switch (mode) {
    case cc::Mode::kOn:
    case cc::Mode::kPpcie:
      return "true";
    case cc::Mode::kOff:
      return "false";
    case cc::Mode::kDevtools:
      return "";
  }
  return "";
}

kube::LabelPatch StateLabels(const Stand& stand, StateFormat format) {
  if (InChange(stand)) {
    kube::LabelPatch labels{{kReadyStateLabel, ""}};
    if (format == StateFormat::kSeed) labels[kModeStateLabel] = "off";
    return labels;
  }
  if (stand.phase == Phase::kFailed || !stand.mode) {
    return {{kModeStateLabel, "failed"}, {kReadyStateLabel, ""}};
  }
  const bool seed = format == StateFormat::kSeed;
  return {{kModeStateLabel, seed ? "on" : std::string(cc::ToString(*stand.mode))},
          {kReadyStateLabel, ReadyState(*stand.mode)}};
}

// For people who look at the node; programs read the labels.
std::string StatusText(const Stand& stand) {
  const std::string mode = stand.mode ? std::string(cc::ToString(*stand.mode)) : "unknown";
  return stand.reason.empty()
             ? fmt::format("{}: {}", mode, ToString(stand.phase))
             : fmt::format("{}: {}: {}", mode, ToString(stand.phase), stand.reason);
}

// Takes out what is there already, so that nothing is written for nothing.
void Reduce(kube::LabelPatch& patch, const kube::Labels& present) {
  std::erase_if(patch, [&](const auto& change) {
    const auto found = present.find(change.first);
    return found == present.end() ? !change.second : found->second == change.second;
  });
}

}  // namespace

absl::StatusOr<cc::Mode> WantedMode(const kube::Labels& labels,
                                    const absl::StatusOr<cc::Mode>& fallback) {
  const auto label = labels.find(kModeLabel);
  if (label == labels.end() || label->second.empty()) return fallback;
  const auto mode = cc::ParseMode(label->second);
  return mode.ok() ? mode : Annotate(mode.status(), fmt::format("read label {}", kModeLabel));
}

std::optional<cc::Mode> ShownMode(const kube::Labels& labels, StateFormat format) {
  const auto label = labels.find(kModeStateLabel);
  if (label == labels.end() || format == StateFormat::kSeed) return std::nullopt;
  const auto mode = cc::ParseMode(label->second);
  return mode.ok() ? std::optional(*mode) : std::nullopt;
}

kube::NodePatch Show(const Stand& stand, StateFormat format, const kube::Node& node) {
  kube::NodePatch patch{.labels =
                            stand.paused ? PausePatch(node.labels) : RestorePatch(node.labels)};
  if (!stand.no_gpus) {
    patch.labels.merge(StateLabels(stand, format));
    patch.annotations[kStatusAnnotation] = StatusText(stand);
  }
  if (stand.capable) {
    patch.labels[kCapableLabel] =
        *stand.capable ? std::optional<std::string>("true") : std::optional<std::string>();
  }
  Reduce(patch.labels, node.labels);
  Reduce(patch.annotations, node.annotations);
  return patch;
}

}  // namespace gpuhost::cc_manager
