// SPDX-License-Identifier: Apache-2.0
//
// Where a node has its containerd: that of a distribution's package, or the one that a Kubernetes
// in one piece brings along.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager::containerd {

struct Location {
  std::string flavor;              // plain, k3s, rke2, k0s, microk8s
  std::string main;                // its main file, as this program sees it
  std::string directory;           // that of the main file, as containerd sees it
  bool editable = true;            // ours to edit: not where it is generated at every start
  std::string file;                // of ours, imported by the main file
  std::vector<std::string> units;  // the first that is active is to be restarted
  bool restart_is_safe = true;     // false: the unit is the kubelet or the API server, too
  std::string socket;
  std::vector<std::string> programs;  // the first that is there
};

// Where somebody says that it is. Empty: as the flavor has it.
struct Hints {
  std::string flavor = "auto";
  std::string main, directory;
  std::string socket;
};

// kInvalidArgument for a flavor that there is not.
absl::StatusOr<Location> Locate(const HostFs& fs, const Hints& hints);

}  // namespace gpuhost::kata_manager::containerd
