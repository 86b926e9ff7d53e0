// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "libgpuhost/base/clock.h"

namespace gpuhost::kata_manager {

// Whether whoever works still gets on with it, for those who watch from another thread.
class Heartbeat {
 public:
  // A step of the work was begun.
  void Beat(Clock& clock) { last_ = clock.Now().time_since_epoch().count(); }
  // There is nothing to do until somebody says so.
  void Rest() { last_ = kResting; }
  // Resting, or the last step began at most `limit` ago.
  bool IsAlive(Clock& clock, Duration limit) const {
    const int64_t last = last_;
    return last == kResting || clock.Now().time_since_epoch() - Duration(last) <= limit;
  }

 private:
  static constexpr int64_t kResting = -1;
  std::atomic<int64_t> last_ = kResting;
};

}  // namespace gpuhost::kata_manager
