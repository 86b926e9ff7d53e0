// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "libgpuhost/base/file_lock.h"

namespace gpuhost::kata_manager {

// "I edit the container runtime's files": keeps out other processes of this program, and
// kata-deploy where it is on the node, while the object lives.
class EditLock {
 public:
  // Whether this process is to end; may be empty.
  using Stopping = std::function<bool()>;
  // kUnavailable or kDeadlineExceeded when somebody else has it for half a minute; kCancelled when
  // this process is to end meanwhile.
  static absl::StatusOr<EditLock> Acquire(HostFs& fs, Clock& clock, const Stopping& stopping);

 private:
  EditLock(FileLock ours, UniqueFd theirs) : ours_(std::move(ours)), theirs_(std::move(theirs)) {}
  FileLock ours_;
  UniqueFd theirs_;
};

}  // namespace gpuhost::kata_manager
