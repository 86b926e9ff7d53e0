// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Removes generations that are neither current nor the one to roll back to, those of classes that
// are not among `classes`, and blobs that no generation needs or that are not whole. What stays:
// what a process has open or mapped, so a guest keeps its files; what a class was rolled back from;
// what is pinned; what somebody fetches just now or has begun to fetch within a day. What was
// removed, for a person. kUnavailable while somebody fetches or makes a generation.
absl::StatusOr<std::vector<std::string>> CollectGarbage(HostFs& fs,
                                                        const std::string& artifacts_dir,
                                                        const std::vector<std::string>& classes);

// Keeps the blobs of an artefact for two weeks, although no generation needs them yet. `identity`
// names the artefact; a second time the two weeks begin anew.
absl::Status Pin(HostFs& fs, const std::string& artifacts_dir, const std::string& identity,
                 const std::vector<std::string>& blobs);

// Everything below `artifacts_dir` that this program has put there. kFailedPrecondition, before
// anything is removed, when a process uses an artefact; kUnavailable while somebody fetches.
absl::Status RemoveAll(HostFs& fs, const std::string& artifacts_dir);

}  // namespace gpuhost::kata_manager
