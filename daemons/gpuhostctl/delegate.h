// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::gpuhostctl {

// kFailedPrecondition while that daemon lives, for it would undo by hand what is done by hand; the
// text says how to tell it.
absl::Status CheckNotAlive(const HostFs& fs, const std::string& daemon);

// Where a program of ours is: in `own_directory`, else in one of those of `search_path` (as $PATH
// has them, with colons between). kNotFound, saying where it was looked for.
absl::StatusOr<std::string> FindProgram(const std::string& program,
                                        const std::string& own_directory,
                                        const std::string& search_path);

// This process becomes the program of ours that lies beside it, or that $PATH has; its exit status
// is ours. Returns only when that failed.
absl::Status Become(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace gpuhost::gpuhostctl
