// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/fault.h"

#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "libgpuhost/base/status.h"

namespace gpuhost::vgpu {
namespace {

constexpr auto kNames = std::to_array<std::pair<std::string_view, Fault>>({
    {"rpc-silent", Fault::kRpcSilent},
    {"rpc-error", Fault::kRpcError},
    {"rpc-garbage", Fault::kRpcGarbage},
    {"rpc-wrong-echo", Fault::kRpcWrongEcho},
    {"rpc-short", Fault::kRpcShort},
    {"rpc-oversize", Fault::kRpcOversize},
    {"reset-hangs", Fault::kResetHangs},
    {"reset-no-latch", Fault::kResetNoLatch},
    {"never-boots", Fault::kNeverBoots},
    {"dead", Fault::kDead},
    {"dead-after-reset", Fault::kDeadAfterReset},
    {"dead-once", Fault::kDeadOnce},
    {"security-fault", Fault::kSecurityFault},
    {"firewall-stuck", Fault::kFirewallStuck},
    {"link-down", Fault::kLinkDown},
    {"knob-locked", Fault::kKnobLocked},
    {"ppcie-unknown", Fault::kPpcieUnknown},
    {"recovery", Fault::kRecovery},
    {"slow-boot", Fault::kSlowBoot},
    {"asleep-d3hot", Fault::kAsleepD3hot},
    {"no-flr", Fault::kNoFlr},
    {"stale-queue", Fault::kStaleQueue},
    {"stale-error", Fault::kStaleError},
    {"late-answer", Fault::kLateAnswer},
    {"mode-fault", Fault::kModeFault},
    {"fault-after-wake", Fault::kFaultAfterWake},
    {"driver-bound", Fault::kDriverBound},
    {"replaced", Fault::kReplaced},
    {"config-lost", Fault::kConfigLost},
    {"slow-reset", Fault::kSlowReset},
});

}  // namespace

std::vector<std::string_view> FaultNames() {
  std::vector<std::string_view> names;
  for (const auto& [text, fault] : kNames) names.push_back(text);
  return names;
}

absl::StatusOr<Fault> ParseFault(std::string_view name) {
  for (const auto& [text, fault] : kNames) {
    if (text == name) return fault;
  }
  return Error(absl::StatusCode::kInvalidArgument, "'{}' is no fault; there are {}", name,
               fmt::join(FaultNames(), " "));
}

}  // namespace gpuhost::vgpu
