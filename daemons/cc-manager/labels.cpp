// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/labels.h"

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

}  // namespace

absl::StatusOr<cc::Mode> WantedMode(const kube::Labels& labels, cc::Mode fallback) {
  const auto label = labels.find(kModeLabel);
  if (label == labels.end() || label->second.empty()) return fallback;
  const auto mode = cc::ParseMode(label->second);
  return mode.ok() ? mode : Annotate(mode.status(), fmt::format("read label {}", kModeLabel));
}

kube::LabelPatch StateLabels(std::optional<cc::Mode> reached) {
  if (!reached) return {{kModeStateLabel, "failed"}, {kReadyStateLabel, ""}};
  return {{kModeStateLabel, std::string(cc::ToString(*reached))},
          {kReadyStateLabel, ReadyState(*reached)}};
}

}  // namespace gpuhost::cc_manager
