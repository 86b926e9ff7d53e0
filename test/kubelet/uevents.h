// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::kubelet {

// Uevents as if devices had changed, for this process and its children and nobody else: the kernel
// sends into a network namespace what is written there. Source: lib/kobject_uevent.c,
// uevent_net_rcv.
class Uevents {
 public:
  // Moves the calling process, which has one thread, into a network namespace of its own. The errno
  // when it may not.
  static absl::StatusOr<Uevents> Isolate();

  // What the kernel says when a driver has taken the PCI device at `bdf`.
  absl::Status SendBind(const std::string& bdf) const;

 private:
  explicit Uevents(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace gpuhost::kubelet
