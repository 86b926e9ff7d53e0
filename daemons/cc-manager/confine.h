// SPDX-License-Identifier: Apache-2.0
//
// Each process of cc-manager gives up what it does not need. These functions hold for the calling
// thread and what it starts, so they are called before the first thread, and cannot be undone.
// Errors: the errno of the system call that failed; then nothing may be trusted to be confined.
#pragma once

#include <absl/status/status.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// Nobody else's: systemd leaves 65520 to 65533 unused. Source: systemd, "Users, Groups, UIDs and
// GIDs".
inline constexpr uid_t kApiUser = 65530;

struct ApiSide {
  std::optional<uid_t> user = kApiUser;  // nullopt: it stays who it is
  // An exec plugin of the kubeconfig: whatever that reads and runs stays free to be read and run.
  bool runs_plugin = false;
  std::vector<std::string> reads = {};  // directories, besides those of libraries and resolvers
};

// The side that talks to an API server. A user of its own, so that root's processes, sockets and
// files are not its own; no capabilities and no way to new ones. By Landlock it writes no file at
// all, reads what it needs, runs nothing, and signals nobody; by seccomp it makes no system call
// that has to do with other processes, namespaces, mounts, modules, devices or modes of files.
// Where the user cannot be changed (no CAP_SETUID) or Landlock is missing (kernel before 5.13,
// switched off, behind a system call filter) that is said as a warning.
absl::Status ConfineApiSide(const ApiSide& side);

// The process that opens and replaces files for it: root, whose files these are, without
// capabilities. By Landlock it writes in `directories` alone.
absl::Status ConfineFilesSide(const std::vector<std::string>& directories);

// No capabilities but
//   CAP_SYS_ADMIN                         configuration space beyond its first 64 bytes
//   CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH   /proc/<pid>/fd of other users' processes
// No Landlock: the kernel lets a process in a Landlock domain look at no process outside of it, and
// users of the devices would not be seen any more.
absl::Status ConfineHardwareSide();

}  // namespace gpuhost::cc_manager
