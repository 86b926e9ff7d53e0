// SPDX-License-Identifier: Apache-2.0
//
// Each side of cc-manager gives up what it does not need. Both functions hold for the calling
// thread and what it starts, so they are called before the first thread, and cannot be undone.
// Errors: the errno of the system call that failed; then nothing may be trusted to be confined.
#pragma once

#include <absl/status/status.h>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// No capabilities, no way to new ones, and of all files only those in /run/nvidia/gpuhost, the
// directory `readiness` (unless empty) and /dev/null can be written: nothing of sysfs, no VFIO
// node. Programs that it starts are confined likewise. Without Landlock (kernel before 5.13,
// switched off, behind a system call filter) no files are confined: said at debug level.
absl::Status ConfineApiSide(HostFs& fs, const std::string& readiness);

// No capabilities but
//   CAP_SYS_ADMIN                         configuration space beyond its first 64 bytes
//   CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH   /proc/<pid>/fd of other users' processes
// No Landlock: the kernel lets a process in a Landlock domain look at no process outside of it, and
// users of the devices would not be seen any more.
absl::Status ConfineHardwareSide();

}  // namespace gpuhost::cc_manager
