// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "libgpuhost/base/unique_fd.h"
#include "test/node/options.h"

namespace gpuhost::node {

// What QEMU inherits: one socket per device, and one per virtio port of the node.
struct Wiring {
  std::vector<std::vector<int>> devices;  // by slot, in each by function
  int out, err, status;
  std::string run_directory;
  std::string console;  // file for kernel messages; not used with --shell
};

std::vector<std::string> QemuArguments(const Options& options, const Wiring& wiring);

// A running QEMU, killed and reaped with the object; also when this process dies.
class Qemu {
 public:
  static absl::StatusOr<Qemu> Start(const std::vector<std::string>& arguments);
  Qemu(Qemu&& other) noexcept;
  Qemu& operator=(Qemu&&) = delete;
  ~Qemu();

  // Becomes readable when QEMU has ended.
  int fd() const { return pidfd_.get(); }

 private:
  Qemu(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_;
  UniqueFd pidfd_;
};

}  // namespace gpuhost::node
