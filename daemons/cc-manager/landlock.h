// SPDX-License-Identifier: Apache-2.0
//
// Landlock: a process gives up rights to files, for itself and what it starts. Debian's headers are
// older than the kernels that this runs on, so what they lack stands here, and each kernel is asked
// for no more than it knows. Source: Documentation/userspace-api/landlock.rst.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <vector>

namespace gpuhost::cc_manager {

struct FileRights {
  std::vector<std::string> write;  // directories below which all may be done
  std::vector<std::string> read;   // files, and directories with all that is below
  bool read_all = false;           // reading and running are not restricted
  bool signal_others = false;      // processes that are not confined so (kernel 6.12 and newer ask)
};

// Everything else is refused from now on, but writing to /dev/null. What is not there is passed
// over. kUnimplemented: this kernel has no Landlock; else the errno.
absl::Status RestrictFiles(const FileRights& rights);

}  // namespace gpuhost::cc_manager
