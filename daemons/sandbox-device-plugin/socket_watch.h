// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::sandbox_device_plugin {

// Tells that a socket (a name that ends in ".sock") came or went in a directory, or the directory
// itself went. It says no more than that: whoever waits looks again.
class SocketWatch {
 public:
  static absl::StatusOr<SocketWatch> Open();

  // Watches `directory`, or what is there now under this name. Call it before each look; it costs
  // nothing when all is as before.
  absl::Status Watch(const std::string& directory);

  // Becomes readable (poll(2)) when there are changes, also of other files.
  int fd() const { return fd_.get(); }
  // Takes all waiting changes; true when one was about a socket.
  bool Drain();

 private:
  explicit SocketWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace gpuhost::sandbox_device_plugin
