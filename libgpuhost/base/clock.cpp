// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/clock.h"

#include <thread>

namespace gpuhost {

TimePoint SystemClock::Now() { return std::chrono::steady_clock::now(); }

void SystemClock::SleepFor(Duration duration) { std::this_thread::sleep_for(duration); }

}  // namespace gpuhost
