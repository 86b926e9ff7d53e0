// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::gpuhostctl {

// The last changes of mode, oldest first, with what took how long; a line says when there were
// none. As JSON: {"schema": 1, "changes": [{...}]}.
absl::StatusOr<std::string> RenderEvents(const HostFs& fs, bool json);

}  // namespace gpuhost::gpuhostctl
