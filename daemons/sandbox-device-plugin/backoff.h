// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <random>

#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

// Waits between attempts: 50 ms, doubled each time up to 5 s, each 20 % longer or shorter by chance
// so that the plugins of many nodes do not come at once.
class Backoff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(50);
  static constexpr Duration kLongest = std::chrono::seconds(5);

  Duration Next() {
    const Duration wait = next_;
    next_ = std::min(next_ * 2, kLongest);
    return Duration(static_cast<int64_t>(static_cast<double>(wait.count()) * jitter_(random_)));
  }
  void Reset() { next_ = kFirst; }

 private:
  Duration next_ = kFirst;
  std::minstd_rand random_{std::random_device()()};
  std::uniform_real_distribution<double> jitter_{0.8, 1.2};
};

}  // namespace gpuhost::sandbox_device_plugin
