// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::kata_manager {

// Keeps processes and threads apart that work on the same artefacts: flock(2) on a directory, held
// while the object lives and dropped by the kernel when the process ends.
//   on <artifactsDir>   shared by all that fetch, make or choose generations; alone who removes
//   on a class's own    alone who makes or chooses a generation
class StoreLock {
 public:
  enum class Kind { kShared, kAlone };
  // Makes the directory where it is not there. kUnavailable, when another has it for longer than
  // `patience`; kCancelled when this process is to end meanwhile.
  static absl::StatusOr<StoreLock> Take(HostFs& fs, const std::string& directory, Kind kind,
                                        Duration patience, const Stopping& stopping = {});

 private:
  explicit StoreLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// How long somebody waits for another one who makes a generation or removes some.
inline constexpr Duration kLockPatience = std::chrono::minutes(1);

}  // namespace gpuhost::kata_manager
