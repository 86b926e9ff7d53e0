// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace gpuhost {

// Calls work(0) ... work(count - 1), each on a thread of its own, and returns when all have ended.
// For work that blocks in the kernel or on a device, not for computing. Where no thread is to be
// had (a limit of processes) the calling thread does that part itself, so none may wait for
// another.
template <typename Work>
void InParallel(size_t count, Work work) {
  std::vector<std::jthread> threads;
  threads.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    try {
      threads.emplace_back([&work, i] { work(i); });
    } catch (const std::system_error&) {
      work(i);
    }
  }
}

}  // namespace gpuhost
