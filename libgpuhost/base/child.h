// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost {

// One write(2) of `text` to the existing file `path`, done by a child process so that a write that
// never returns costs a child and not the caller. Safe in a program with threads: the child makes
// system calls only. kDeadlineExceeded after `limit` of real time: the child is told to die and
// left behind; while it hangs in the kernel the device must be considered stuck.
// Otherwise the errno of open or write, or OK.
absl::Status WriteInChild(Duration limit, const std::string& path, std::string_view text);

// Runs `arguments` (the first is the program's absolute path) with `root` as its root directory, an
// empty environment and no input. Its output is part of the error when its exit status is not 0:
// kUnknown; kNotFound when the program is not there; kDeadlineExceeded after `limit`.
absl::Status RunProgram(Duration limit, const std::string& root,
                        const std::vector<std::string>& arguments);

}  // namespace gpuhost
