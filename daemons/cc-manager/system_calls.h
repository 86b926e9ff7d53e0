// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

namespace gpuhost::cc_manager {

// From now on system calls that a program which talks over the network does not make are refused
// with EPERM, for this process and what it starts: those that look into or hold other processes,
// make or enter namespaces, mount, load modules or other kernels, give a file another mode or
// owner, open files by handles, make devices, and sockets of other kinds than Internet, Unix and
// netlink. Errors: the errno of making or loading the filter.
absl::Status ForbidSystemCalls();

}  // namespace gpuhost::cc_manager
