// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "libgpuhost/base/clock.h"

namespace gpuhost::fake {

// Time passes only while somebody sleeps, and then at once. Threads that sleep side by side do so
// at the same time: each has a time of its own, which begins with the latest of all when it first
// asks. The thread that made the clock lives at the latest of all, and takes the others along when
// it sleeps.
class FakeClock : public Clock {
 public:
  TimePoint Now() override {
    const std::lock_guard lock(mutex_);
    return TimePoint(Mine());
  }
  void SleepFor(Duration duration) override {
    const std::lock_guard lock(mutex_);
    Duration& mine = Mine();
    mine += duration;
    latest_ = std::max(latest_, mine);
    if (ThisThread() == maker_) common_ = latest_;
  }
  // It passes for all, whoever says so.
  void Pass(Duration duration) {
    const std::lock_guard lock(mutex_);
    common_ = latest_ += duration;
  }

 private:
  // Unlike the system's thread ids these are not given out twice.
  static uint64_t ThisThread() {
    static std::atomic<uint64_t> next = 0;
    thread_local const uint64_t id = next++;
    return id;
  }
  Duration& Mine() {
    const uint64_t thread = ThisThread();
    if (thread == maker_) return latest_;
    Duration& own = own_.try_emplace(thread, latest_).first->second;
    return own = std::max(own, common_);
  }

  const uint64_t maker_ = ThisThread();
  std::mutex mutex_;
  Duration latest_ = std::chrono::seconds(1000);
  Duration common_{};  // what it is for everybody, at least
  std::map<uint64_t, Duration> own_;
};

}  // namespace gpuhost::fake
