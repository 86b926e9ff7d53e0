// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/describe.h"

#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/plan.h"

namespace gpuhost::cc_manager {

absl::StatusOr<std::string> DescribePlan(const gpu::Host& host, cc::Mode mode, bool force) {
  GPUHOST_ASSIGN(const auto seen, ObserveNode(host));
  GPUHOST_TRY(cc::Admit(seen, mode, {.force = force}));
  std::string text;
  for (const cc::Observation& gpu : seen) {
    if (!cc::TakesPart(gpu, mode)) {
      text += fmt::format("{}: nothing to do\n", gpu.device.bdf);
    } else if (!gpu.state.ok()) {
      text += fmt::format("{}: mode unknown ({})\n", gpu.device.bdf, Text(gpu.state.status()));
    } else {
      text +=
          ToString(cc::PlanDevice(gpu.device.bdf, gpu.chip->architecture, *gpu.state, mode)) + "\n";
    }
  }
  return text;
}

}  // namespace gpuhost::cc_manager
