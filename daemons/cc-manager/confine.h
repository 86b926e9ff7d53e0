// SPDX-License-Identifier: Apache-2.0
//
// Each side of cc-manager gives up what it does not need. Both functions hold for the calling
// thread and what it starts, so they are called before the first thread, and cannot be undone.
// Errors: the errno of the system call that failed; then nothing may be trusted to be confined.
// A kernel without Landlock (before 5.13, or switched off) confines no files: said at debug level.
#pragma once

#include <absl/status/status.h>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// No capabilities, no way to new ones, and of all files only those in /run/nvidia, the directory
// `readiness` (unless empty) and /dev/null can be written: nothing of sysfs, no VFIO node.
// Programs that it starts are confined likewise.
absl::Status ConfineApiSide(HostFs& fs, const std::string& readiness);

// Files: below /sys/devices, /sys/bus/pci, /run/nvidia. Capabilities:
//   CAP_SYS_ADMIN        configuration space beyond its first 64 bytes
//   CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH   /proc/<pid>/fd of other users' processes
absl::Status ConfineHardwareSide(HostFs& fs);

}  // namespace gpuhost::cc_manager
