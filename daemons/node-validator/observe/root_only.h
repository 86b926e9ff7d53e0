// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::node_validator {

// OK when root alone can change what is run as `path`: a file with an executable bit at the end of
// all links, it and every directory on the way root's, and none of them writable for its group or
// for others. Whoever may write into a directory may put another file in the place of one.
//   kNotFound           it is not there, or a link leads nowhere
//   kPermissionDenied   somebody else can change it; the text has the path of what
//   kInvalidArgument    `path` is not absolute
absl::Status RootOnly(const HostFs& fs, const std::string& path);

}  // namespace gpuhost::node_validator
