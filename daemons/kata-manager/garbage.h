// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Removes generations that are neither current nor the one to roll back to, those of classes that
// are not among `classes`, and blobs that no generation needs or that are not whole. What a process
// has open or mapped stays; so a guest keeps its files. What was removed, for a person.
absl::StatusOr<std::vector<std::string>> CollectGarbage(HostFs& fs,
                                                        const std::string& artifacts_dir,
                                                        const std::vector<std::string>& classes);

// Everything below `artifacts_dir` that this program has put there. kFailedPrecondition, before
// anything is removed, when a process uses an artefact.
absl::Status RemoveAll(HostFs& fs, const std::string& artifacts_dir);

}  // namespace gpuhost::kata_manager
