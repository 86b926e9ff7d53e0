// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <initializer_list>
#include <optional>
#include <vector>

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

// Waits until one of `fds` is readable or `limit` has passed (no limit: for ever). Tells for each
// of them whether it is readable.
std::vector<bool> WaitReadable(std::initializer_list<int> fds, std::optional<Duration> limit);

}  // namespace gpuhost::service
