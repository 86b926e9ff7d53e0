// SPDX-License-Identifier: Apache-2.0
//
// Processes of the node by what the kernel says of them. Anybody may give a process any name and
// arguments, so only root's count, by the file that they run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// The processes that this one sees, by their ids in decimal digits.
std::vector<std::string> ProcessIds(const HostFs& fs);

// The command line of one, word by word; empty for a task of the kernel, or one that is gone.
std::vector<std::string> ArgumentsOf(const HostFs& fs, const std::string& pid);

enum class Owner { kRoot, kOther, kGone, kUnknown };
// Whose it is: root's, if all its user ids are 0.
Owner OwnerOf(const HostFs& fs, const std::string& pid);

// The name of the file that it runs, without its directory, also when that was replaced; empty: it
// has none, or is gone.
std::string ProgramOf(const HostFs& fs, const std::string& pid);

// Whether another process than this one runs a program of this name for root. Also when that cannot
// be told.
bool IsRunning(const HostFs& fs, const std::string& program);

}  // namespace gpuhost::kata_manager
