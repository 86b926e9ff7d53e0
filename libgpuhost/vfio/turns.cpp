// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/turns.h"

#include <algorithm>

namespace gpuhost::vfio {

void Turns::Await(size_t place) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience_, [&] {
    return std::all_of(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(place),
                       [](bool done) { return done; });
  });
}

void Turns::Done(size_t place) {
  const std::lock_guard lock(mutex_);
  done_[place] = true;
  changed_.notify_all();
}

}  // namespace gpuhost::vfio
