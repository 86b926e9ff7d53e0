// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "libgpuhost/base/file_lock.h"

namespace gpuhost::kata_manager {

// "I edit the container runtime's files": keeps out other processes of this program, and
// kata-deploy where it is on the node, while the object lives.
class EditLock {
 public:
  // kDeadlineExceeded when somebody else has it for half a minute.
  static absl::StatusOr<EditLock> Acquire(HostFs& fs, Clock& clock);

 private:
  EditLock(FileLock ours, UniqueFd theirs) : ours_(std::move(ours)), theirs_(std::move(theirs)) {}
  FileLock ours_;
  UniqueFd theirs_;
};

}  // namespace gpuhost::kata_manager
