// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// The processes that this one sees, by their ids in decimal digits.
std::vector<std::string> ProcessIds(const HostFs& fs);

// The command line of one, word by word; empty for a task of the kernel, or one that is gone.
std::vector<std::string> ArgumentsOf(const HostFs& fs, const std::string& pid);

// The name of its program, without its directory; empty likewise.
std::string ProgramOf(const HostFs& fs, const std::string& pid);

// Whether another process than this one runs a program of this name, without its directory.
bool IsRunning(const HostFs& fs, const std::string& program);

}  // namespace gpuhost::kata_manager
