// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// A directory that strangers' files are put into. The kernel resolves each name beneath it and
// follows no symbolic link on the way (openat2, Linux 5.6), so nothing lands outside, whatever is
// in there already. Nothing that is there is replaced.
//
// Names are relative, without "." and "..". Errors: kFailedPrecondition names what leads outside
// or through a link, kAlreadyExists, kUnimplemented on an older kernel, else the errno's class.
class Tree {
 public:
  // `directory` itself may be reached through links: it is the administrator's.
  static absl::StatusOr<Tree> Open(const HostFs& fs, const std::string& directory);

  // mkdir -p, mode 0755.
  absl::Status MakeDirectories(const std::string& name) const;
  // A directory in it, which is made where it is not there, as a tree of its own.
  absl::StatusOr<Tree> Below(const std::string& name) const;

  // What follows makes the directories before the last part of `name`.
  absl::StatusOr<UniqueFd> Create(const std::string& name, mode_t mode) const;
  absl::Status Write(const std::string& name, std::string_view bytes, mode_t mode) const;
  absl::Status Symlink(const std::string& name, const std::string& target) const;
  // Another name for a file elsewhere, by its path in `fs`; and for one in the tree.
  absl::Status LinkTo(const HostFs& fs, const std::string& file, const std::string& name) const;
  absl::Status LinkInside(const std::string& existing, const std::string& name) const;

  // For reading. The name may be reached through links that stay inside.
  absl::StatusOr<UniqueFd> OpenForReading(const std::string& name) const;
  struct Entry {
    std::string name;
    bool is_link = false;  // a symbolic link; else a regular file
  };
  // All files and links, the names in order.
  absl::StatusOr<std::vector<Entry>> Entries() const;
  // kFailedPrecondition names a link that leads outside. One that leads nowhere is fine.
  absl::Status CheckLinks() const;
  // Removes all that is in it.
  absl::Status Clear() const;
  // All of it is on the disk then.
  absl::Status Sync() const;

 private:
  Tree(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  absl::StatusOr<UniqueFd> OpenAt(const std::string& name, uint64_t flags, uint64_t how) const;
  struct Content {
    std::vector<Entry> entries;
    std::vector<std::string> directories;  // each before those in it; the first is the tree, ""
  };
  absl::StatusOr<Content> Walk() const;
  // The directory that `name` is to be put into, and the name in it.
  struct Place {
    UniqueFd directory;
    std::string last;
  };
  absl::StatusOr<Place> PlaceOf(const std::string& name) const;

  UniqueFd fd_;
  std::string path_;
};

}  // namespace gpuhost::kata_manager
