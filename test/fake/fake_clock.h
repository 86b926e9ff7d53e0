// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "libgpuhost/base/clock.h"

namespace gpuhost::fake {

// Time passes only while somebody sleeps, and then at once. Threads that sleep side by side each
// move it, so waits end early in its terms, never late.
class FakeClock : public Clock {
 public:
  TimePoint Now() override { return TimePoint(std::chrono::nanoseconds(now_.load())); }
  void SleepFor(Duration duration) override { now_ += duration.count(); }

 private:
  std::atomic<int64_t> now_ = 1'000'000'000'000;
};

}  // namespace gpuhost::fake
