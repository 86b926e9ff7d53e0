// SPDX-License-Identifier: Apache-2.0
//
// The only way to wait. Production passes SystemClock; tests pass a clock that moves when asked to.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>

namespace gpuhost {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; only differences mean anything.
  virtual TimePoint Now() = 0;
  virtual void SleepFor(Duration duration) = 0;
};

// CLOCK_MONOTONIC. Safe to use from many threads.
class SystemClock : public Clock {
 public:
  TimePoint Now() override;
  void SleepFor(Duration duration) override;
};

// Calls `done` at once and then every `interval` until it returns true. kDeadlineExceeded after
// `limit` (checked after a call, so there is always a last look); an error of `done` ends the wait.
template <typename Done>  // absl::StatusOr<bool>()
absl::Status PollUntil(Clock& clock, Duration limit, Duration interval, Done done) {
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    absl::StatusOr<bool> finished = done();
    if (!finished.ok()) return finished.status();
    if (*finished) return absl::OkStatus();
    if (clock.Now() >= deadline) return absl::DeadlineExceededError("not in time");
    clock.SleepFor(interval);
  }
}

// Whole and fractional seconds, for texts and logs.
inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace gpuhost
