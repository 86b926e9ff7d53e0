// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "daemons/common/kube/backoff.h"
#include "daemons/common/kube/client.h"

namespace gpuhost::cc_manager {

// How long to leave the API server alone after `error`: what it asked for, a minute at most, and in
// any case longer each time and for each node another while.
inline Duration PauseAfter(const absl::Status& error, kube::Backoff& backoff) {
  constexpr Duration kLongest = std::chrono::minutes(1);
  const Duration own = backoff.Next();
  const auto asked = kube::RetryAfter(error);
  return asked ? std::min(*asked, kLongest) + own : own;
}

}  // namespace gpuhost::cc_manager
