// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "libgpuhost/base/clock.h"

namespace gpuhost::cc_manager {

// How often something may be done: five times at once, and once a second. Each time that all of it
// has been used up it gets half as much, down to once a minute, until it has rested.
class Budget {
 public:
  bool IsLeft(TimePoint now) {
    Refill(now);
    return left_ > 0;
  }
  void Spend() {
    left_ = std::max<int64_t>(left_ - 1, 0);
    if (left_ == 0) pause_ = std::min(2 * pause_, kLongest);
  }

 private:
  static constexpr int64_t kBurst = 5;
  static constexpr Duration kFirst = std::chrono::seconds(1), kLongest = std::chrono::minutes(1);

  void Refill(TimePoint now) {
    const int64_t more = (now - filled_) / pause_;
    filled_ += more * pause_;
    left_ = std::min(left_ + more, kBurst);
    if (left_ == kBurst) {
      filled_ = now;
      pause_ = kFirst;
    }
  }

  int64_t left_ = kBurst;
  Duration pause_ = kFirst;
  TimePoint filled_{};
};

}  // namespace gpuhost::cc_manager
