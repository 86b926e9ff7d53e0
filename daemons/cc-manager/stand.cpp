// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/stand.h"

namespace gpuhost::cc_manager {

std::string_view ToString(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kWaiting:
      return "waiting";
    case Phase::kWithdrawing:
      return "withdrawing";
    case Phase::kArming:
      return "arming";
    case Phase::kResetting:
      return "resetting";
    case Phase::kSteady:
      return "steady";
    case Phase::kFailed:
      return "failed";
  }
  return "failed";
}

bool InChange(const Stand& stand) {
  return stand.phase == Phase::kWaiting || stand.phase == Phase::kWithdrawing ||
         stand.phase == Phase::kArming || stand.phase == Phase::kResetting;
}

}  // namespace gpuhost::cc_manager
