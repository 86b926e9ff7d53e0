// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "daemons/kata-manager/change.h"
#include "daemons/kata-manager/state.h"

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

// Of what is now in the files of these changes.
absl::StatusOr<std::string> DigestOfFiles(const HostFs& fs, const std::vector<FileChange>& changes);

// Whether TakeBack would change a file. kAborted when somebody else has changed one since.
absl::StatusOr<bool> CanTakeBack(const HostFs& fs, const std::vector<FileChange>& changes);

// Around writes to the files of `changes`, which are those of the backup: a restart is due from
// `now` on if one of them has changed in between, also when this process died there.
absl::Status BeginChange(HostFs& fs, const std::string& artifacts_dir,
                         const std::vector<FileChange>& changes, int64_t now, State& state);
// Does nothing where no change was begun.
absl::Status EndChange(HostFs& fs, const std::string& artifacts_dir, State& state);

// Takes the changes back, the last first. Files that were not changed any more, or are back, stay.
// kAborted when somebody else has changed one since; the others are then as they were.
absl::Status TakeBack(HostFs& fs, const std::vector<FileChange>& changes);

}  // namespace gpuhost::kata_manager
