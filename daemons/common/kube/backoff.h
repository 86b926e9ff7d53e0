// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
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
  // The same where the server has asked to be left alone for a while. That is believed within
  // bounds: a proxy that says a day would make us deaf for one. A random part comes on top.
  Duration Next(const std::optional<Duration>& asked) {
    if (!asked) return Next();
    const int64_t whole = std::clamp(*asked, Duration::zero(), kLongestAsked).count();
    return Duration(std::uniform_int_distribution<int64_t>(whole, whole + whole / 2)(random_));
  }
  void Reset() { next_ = first_; }

  static constexpr Duration kLongestAsked = std::chrono::seconds(30);

 private:
  Duration first_, last_, next_;
  std::minstd_rand random_;
};

}  // namespace gpuhost::kube
