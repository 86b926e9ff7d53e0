// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {

// An flock(2) on /run/nvidia/gpuhost/lock/<name>, held while the object lives. Whoever changes a
// device holds the lock named by its BDF, so that no two programs do so at once. The kernel drops
// it when the holder dies, so a crash leaves nothing behind.
class FileLock {
 public:
  // Waits up to `limit` for another holder to end: also a program that was killed leaves the lock
  // to the child that is still writing for it. Then kUnavailable, naming the process; else the
  // errno of the file.
  static absl::StatusOr<FileLock> Acquire(HostFs& fs, Clock& clock, std::string_view name,
                                          Duration limit);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace gpuhost
