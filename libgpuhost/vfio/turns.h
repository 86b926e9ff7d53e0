// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::vfio {

// An order among threads: each does its part when those of lower numbers are through. The kernel
// numbers VFIO devices (and nvidia its GPUs) as they are bound, so that only binding in the order
// of addresses gives a GPU the same number after each boot.
class Turns {
 public:
  // One that does not come on keeps the others for `patience` of real time at most.
  explicit Turns(size_t count, Duration patience = std::chrono::seconds(5))
      : patience_(patience), done_(count) {}

  // Returns when all before `place` are through.
  void Await(size_t place);
  // `place` is through, or has nothing to do.
  void Done(size_t place);

 private:
  const Duration patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> done_;
};

}  // namespace gpuhost::vfio
