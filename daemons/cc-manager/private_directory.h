// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// A directory of this user alone (mode 0700), for what a privileged process writes where others may
// write beside it. It is reached without following any link, and so are its files, so that nobody
// can make the process write or remove anything elsewhere.
class PrivateDirectory {
 public:
  // Makes the directory where it is missing. kFailedPrecondition when a part of `path` is a link,
  // or when the directory belongs to another user or can be read or written by one; else the errno.
  static absl::StatusOr<PrivateDirectory> Open(HostFs& fs, const std::string& path);

  // Names of its files, sorted.
  absl::StatusOr<std::vector<std::string>> List() const;
  // Readers see no file or the whole file. Mode 0600.
  absl::Status Write(const std::string& name, std::string_view bytes);
  absl::Status Remove(const std::string& name);

 private:
  PrivateDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace gpuhost::cc_manager
