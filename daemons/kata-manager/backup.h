// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "daemons/kata-manager/change.h"

namespace gpuhost::kata_manager {

// The last changes to files of others, kept so that they can be taken back:
// <artifactsDir>/backup.json.
absl::Status KeepBackup(HostFs& fs, const std::string& artifacts_dir,
                        const std::vector<FileChange>& changes);
// kNotFound when nothing was changed yet.
absl::StatusOr<std::vector<FileChange>> ReadBackup(const HostFs& fs,
                                                   const std::string& artifacts_dir);

// Tells changes apart.
std::string DigestOf(const std::vector<FileChange>& changes);

// Takes the changes back, the last first. Files that were not changed any more, or are back, stay.
// kAborted when somebody else has changed one since.
absl::Status TakeBack(HostFs& fs, const std::vector<FileChange>& changes);

}  // namespace gpuhost::kata_manager
