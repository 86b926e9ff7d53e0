// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "test/fake/temp_root.h"

namespace gpuhost::fake {

// A process in /proc of a node with systemd; as it stands here, containerd's own.
struct NodeProcess {
  int pid = 100;
  std::string comm = "containerd";
  std::string exe = "/usr/bin/containerd";
  std::vector<std::string> arguments = {"/usr/bin/containerd"};
  std::string cgroup = "0::/system.slice/containerd.service";
  std::string uids = "0\t0\t0\t0";
  std::string mnt = "4026531841", pid_namespace = "4026531836", user = "4026531837";
};

// Process 1 with the namespaces of NodeProcess, and that process.
void AddInit(TempRoot& root, const std::string& cgroup = "0::/init.scope");
void AddProcess(TempRoot& root, const NodeProcess& process);

}  // namespace gpuhost::fake
