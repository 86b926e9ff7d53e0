// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {

// Where processes with fewer rights than ours may write, too: the side of cc-manager that talks to
// the network, and pods that mount it.
inline constexpr std::string_view kSharedDirectory = "/run/nvidia";

enum class Missing { kFail, kMake };

// Opens the directory `path` below `root` (O_PATH), for calls relative to it; makes it with all
// above it, mode 0755, where that is wanted. Below kSharedDirectory no link is followed, for
// whoever makes links there would choose where root writes: kFailedPrecondition, with the name of
// the link.
absl::StatusOr<UniqueFd> OpenDirectory(const std::string& root, std::string_view path,
                                       Missing missing);

}  // namespace gpuhost
