// SPDX-License-Identifier: Apache-2.0
//
// Which processes are the node's own. Anybody may give a process any name, arguments and program
// file, on the host and in a container, so a name alone proves nothing. A process of that name is
// the node's own when
//   - all its user ids are 0,
//   - it is in the mount, PID and user namespace of the node's process 1,
//   - it is in the cgroup of a service that runs such a program (its unit below slices of process
//     1's own hierarchy; cgroup v1, v2 and hybrid), or listens on a socket of the node.
// Only root of the node can make such a process.
//
// `fs` is the node's root; the processes are those of its /proc. In a container that is the host's
// /proc below the root that the host is mounted at.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::node {

// Texts to show and to compare. They are no reason to run anything.
struct Process {
  int pid = 0;
  std::string exe;                     // of its program; "" where the kernel does not tell
  bool replaced = false;               // that file has been removed or replaced since
  std::vector<std::string> arguments;  // with the program's name first
  std::string unit;                    // the service whose cgroup it is in; "" for none
};

struct Processes {
  std::vector<Process> own;  // lowest number first
  // Root's in the node's namespaces, but in none of the services that run this program: started by
  // hand, or by another service for itself, as Docker does with its own containerd.
  std::vector<Process> elsewhere;
  // OK: there are no others. Otherwise why some could not be judged, and what to do: a process that
  // is in neither list may be the node's own all the same.
  absl::Status complete;
};

// The processes of the program `name`, as its file is called: "containerd", "crio", "kubelet",
// "k3s-server", "kubelite", "containerd-shim-kata-v2". Those of a program that no service is known
// for are `own` in any cgroup when they run a file of that name: a shim is moved to its pod's.
Processes OwnProcesses(const HostFs& fs, std::string_view name);

// The process that listens on a socket of the node, as the kernel tells (SO_PEERCRED), when it is
// root's in the node's namespaces; its cgroup does not matter.
//   kNotFound, kUnavailable  there is no such socket, or nobody listens
//   kPermissionDenied        it is not the node's own
//   kFailedPrecondition      it cannot be told, as from another PID namespace
absl::StatusOr<Process> PeerProcess(const HostFs& fs, const std::string& socket);

}  // namespace gpuhost::node
