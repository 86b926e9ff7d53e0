// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::gpuhostctl {

// kFailedPrecondition while that daemon lives, for it would undo by hand what is done by hand; the
// text says how to tell it.
absl::Status CheckNotAlive(const HostFs& fs, const std::string& daemon);

// This process becomes the program of ours that lies beside it, or that $PATH has; its exit status
// is ours. Returns only when there is none: kNotFound, or what the kernel says.
absl::Status Become(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace gpuhost::gpuhostctl
