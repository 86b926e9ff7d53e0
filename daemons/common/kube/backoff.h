// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>

#include "libgpuhost/base/clock.h"

namespace gpuhost::kube {

// How long to wait before the next try: doubles from `first` to `last`, each time a random part of
// it (half to whole), so that a thousand nodes do not come back in step.
class Backoff {
 public:
  Backoff(Duration first, Duration last, uint32_t seed)
      : first_(first), last_(last), next_(first), random_(seed) {}

  Duration Next() {
    const Duration whole = next_;
    next_ = std::min(2 * next_, last_);
    return Duration(
        std::uniform_int_distribution<int64_t>(whole.count() / 2, whole.count())(random_));
  }
  void Reset() { next_ = first_; }

 private:
  Duration first_, last_, next_;
  std::minstd_rand random_;
};

}  // namespace gpuhost::kube
