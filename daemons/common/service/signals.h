// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {

// SIGTERM and SIGINT as a descriptor to poll, so that a loop ends where it can end cleanly.
class StopSignal {
 public:
  // Call before the first thread starts: threads inherit the blocked signals.
  static absl::StatusOr<StopSignal> Block();
  // Readable once a signal has come, and from then on.
  int fd() const { return fd_.get(); }

 private:
  explicit StopSignal(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// SIGHUP likewise: the configuration is to be read again.
class ReloadSignal {
 public:
  static absl::StatusOr<ReloadSignal> Block();
  int fd() const { return fd_.get(); }
  // Takes what has come.
  void Drain();

 private:
  explicit ReloadSignal(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Which of the descriptors that were waited for are readable, by their place in the list.
class Readable {
 public:
  bool operator[](size_t place) const { return (bits_ >> place & 1) != 0; }
  bool none() const { return bits_ == 0; }
  void Set(size_t place) { bits_ |= uint64_t{1} << place; }

 private:
  uint64_t bits_ = 0;
};

// Waits until one of `fds`, 64 at most, is readable or `limit` has passed (no limit: for ever).
Readable WaitReadable(std::initializer_list<int> fds, std::optional<Duration> limit);

}  // namespace gpuhost::service
