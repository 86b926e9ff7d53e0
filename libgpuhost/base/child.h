// SPDX-License-Identifier: Apache-2.0
//
// Work for child processes: calls from which the kernel may never return. A task that sleeps
// uninterruptibly cannot be killed, so it must not be ours. All are safe in a program with threads:
// the children make system calls only, and keep no descriptor but those they need.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost {

// One write(2) of `text` to the existing file `path`. The child keeps those of our FileLocks whose
// names are in the path or the text, and no others, so that a device stays locked while the kernel
// is still at it.
// kDeadlineExceeded after `limit` of real time: the child is told to die and left behind; while it
// hangs in the kernel the device must be considered stuck, see IsLeftBehind.
// Otherwise the errno of open or write, or OK.
absl::Status WriteInChild(Duration limit, const std::string& path, std::string_view text);

// Up to `size` bytes of the file `path` from `offset` on. kDeadlineExceeded as above, and at once
// while an earlier child still reads this file; else the errno.
absl::StatusOr<std::string> ReadInChild(Duration limit, const std::string& path, off_t offset,
                                        size_t size);

// Whether a child of this process that was left behind has not come back from a write with `name`
// in its path or text.
bool IsLeftBehind(std::string_view name);

// Runs `arguments` (the first is the program's absolute path) with `root` as its root directory, an
// empty environment and no input. Its output is part of the error when its exit status is not 0:
// kUnknown; kNotFound when the program is not there; kDeadlineExceeded after `limit`.
absl::Status RunProgram(Duration limit, const std::string& root,
                        const std::vector<std::string>& arguments);

}  // namespace gpuhost
