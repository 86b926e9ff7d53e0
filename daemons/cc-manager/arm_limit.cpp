// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/arm_limit.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

constexpr Duration kEvery = std::chrono::minutes(3);
constexpr Duration kAtOnce = 32 * kEvery;

}  // namespace

absl::Status ArmLimit::Count(TimePoint now, std::span<const pci::Bdf> devices) {
  std::erase_if(whole_again_, [now](const auto& device) { return device.second <= now; });
  const auto after = [&](const pci::Bdf& bdf) {
    const auto spent = whole_again_.find(bdf);
    return (spent == whole_again_.end() ? now : spent->second) + kEvery;
  };
  for (const pci::Bdf& bdf : devices) {
    const Duration too_much = after(bdf) - now - kAtOnce;
    if (too_much <= Duration::zero()) continue;
    return Error(absl::StatusCode::kResourceExhausted,
                 "{}: its mode has been changed too often; try again in {:.0f} s, or restart "
                 "cc-manager",
                 bdf, Seconds(too_much));
  }
  for (const pci::Bdf& bdf : devices) whole_again_[bdf] = after(bdf);
  return absl::OkStatus();
}

}  // namespace gpuhost::cc_manager
