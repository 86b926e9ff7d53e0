// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// What is to become of one file. Empty: there is none.
struct FileChange {
  std::string path;
  std::optional<std::string> before, after;

  bool operator==(const FileChange&) const = default;
};

// The file's bytes now; empty when there is none.
absl::StatusOr<std::optional<std::string>> ReadIfThere(const HostFs& fs, const std::string& path);

// Where the bytes are when `path` is a link, or leads to one. kFailedPrecondition when links go
// round.
absl::StatusOr<std::string> EndOfLinks(const HostFs& fs, std::string path);

// Replaces the file at the end of all links, atomically, with its mode and owner of before; a new
// one gets mode 0644. kAborted when it is not as the change was planned on: somebody else edits it.
// Where the file system may be written by others only, the text says what to do about that.
absl::Status Commit(HostFs& fs, const FileChange& change);

// Removes what writers of `path` who were killed have left beside it.
absl::Status RemoveLeftOvers(HostFs& fs, const std::string& path);

// As `diff -u` has it, in one hunk; empty when nothing changes.
std::string UnifiedDiff(const FileChange& change);

}  // namespace gpuhost::kata_manager
