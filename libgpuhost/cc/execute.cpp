// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/execute.h"

namespace gpuhost::cc {

Outcome ChangeMode(const gpu::Host& host, std::span<const Observation> observations, Mode mode,
                   const OnPhase& on_phase) {
  Change change(host, observations, mode);
  const auto announce = [&](std::string_view phase) {
    if (on_phase) on_phase(phase, change.outcome().devices);
  };
  if (!change.Open().ok()) return change.outcome();
  announce("arming");
  if (!change.Arm().ok()) return change.outcome();
  announce("resetting");
  change.ResetAndVerify().IgnoreError();
  return change.outcome();
}

}  // namespace gpuhost::cc
