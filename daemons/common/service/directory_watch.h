// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {

// Tells that a file came, went or was replaced in a directory, or that the directory itself went.
// It says no more than that: whoever waits looks again.
class DirectoryWatch {
 public:
  static absl::StatusOr<DirectoryWatch> Open();

  // Watches `directory`, or what is there now under this name. Call it before each look; it costs
  // nothing when all is as before.
  // Files that are written in place are not told; status documents and sockets never are.
  absl::Status Watch(const std::string& directory);
  // The same, and files that are written in place are told, too.
  absl::Status WatchContents(const std::string& directory);

  // Becomes readable (poll(2)) when there are changes, of whatever name.
  int fd() const { return fd_.get(); }
  // Takes all waiting changes; true when one was about a name that ends in `suffix`.
  bool Drain(std::string_view suffix = {});
  bool DrainAny(const std::vector<std::string>& suffixes);

 private:
  explicit DirectoryWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  absl::Status Add(const std::string& directory, uint32_t mask);
  UniqueFd fd_;
};

}  // namespace gpuhost::service
