// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::artifacts {

// What an archive may become.
struct UnpackLimits {
  uint64_t bytes = uint64_t{64} << 30;
  uint64_t entries = 100'000;
};

// Unpacks a tar archive, compressed or not, into `directory`, which is made. Files and directories
// only, and links that stay inside; nobody's but root's, no setuid bits. kDataLoss names the entry
// that is anything else or leaves the directory, and an archive that is broken or too large; what
// was unpacked until then is left to the caller.
absl::Status Unpack(HostFs& fs, const std::string& archive, const std::string& directory,
                    const UnpackLimits& limits = {});

}  // namespace gpuhost::kata_manager::artifacts
