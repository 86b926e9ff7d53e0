// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/eventfd.h>

#include <cstdint>

#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::sandbox_device_plugin {

// By which other threads ask the loop for a pass.
class Wakeup {
 public:
  // Where no descriptor is left, the loop wakes up by its clock alone.
  Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // From any thread.
  void Poke() const {
    const uint64_t one = 1;
    static_cast<void>(!::write(fd_.get(), &one, sizeof one));
  }
  // Becomes readable (poll(2)) after Poke.
  int fd() const { return fd_.get(); }
  // True when somebody has poked.
  bool Drain() const {
    uint64_t count = 0;
    return ::read(fd_.get(), &count, sizeof count) == sizeof count;
  }

 private:
  UniqueFd fd_;
};

}  // namespace gpuhost::sandbox_device_plugin
