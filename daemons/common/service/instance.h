// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {

// "This daemon lives on this node": a lock on /run/nvidia/gpuhost/<daemon>.lock, held while the
// object lives, dropped by the kernel when the process ends and not handed to its children. It
// keeps a second one from starting, and tells the other daemons whom they can talk to. The file is
// root's alone (0600): a lock for reading by anybody else would keep the daemon from starting.
class Instance {
 public:
  // kFailedPrecondition when another process has it; else the errno of the file.
  static absl::StatusOr<Instance> Claim(HostFs& fs, std::string_view daemon);

 private:
  explicit Instance(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Whether another process holds the lock of `daemon`. Disturbs nobody. Takes the right to read the
// lock, that is root; who may not ask must take the daemon for alive, and is told so.
bool IsAlive(const HostFs& fs, std::string_view daemon);

}  // namespace gpuhost::service
