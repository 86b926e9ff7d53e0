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
  std::string flavor;        // plain, k3s, rke2, k0s, microk8s
  std::string main;          // its main file, as this program sees it
  std::string directory;     // that of the main file, as containerd sees it
  bool editable = true;      // ours to edit: not where it is generated at every start
  std::string why_not = {};  // where it is not: who makes it, and what to do instead
  std::string file;          // of ours, imported by the main file
  // What the distribution makes of our file and has imported; empty: the main file imports ours.
  std::string merged = {};
  std::vector<std::string> units;  // the first that is active is to be restarted
  bool restart_is_safe = true;     // false: the unit is the kubelet or the API server, too
  std::string socket;
  std::vector<std::string> programs;  // the first that is there
  absl::Status program_problem = {};  // why none of them may be asked; OK: they may
  bool program_was_replaced = false;  // since the one that runs was started
};

// Where somebody says that it is. Empty: as the flavor has it.
struct Hints {
  std::string flavor = "auto";
  std::string main, directory;
  std::string socket;
};

bool IsCrio(const Location& where);
// "containerd" or "CRI-O", for texts.
std::string RuntimeName(const Location& where);

// A file of the main file's directory is `here` to this program and `seen` to containerd; others
// are the same to both.
bool IsBeside(const Location& where, const std::string& seen);
std::string HereOf(const Location& where, const std::string& seen);
std::string SeenOf(const Location& where, const std::string& here);

// As the flavor has it by default. What runs may have another file or socket: see Pin.
// kInvalidArgument for a flavor that there is not.
absl::StatusOr<Location> Locate(const HostFs& fs, const Hints& hints);

}  // namespace gpuhost::kata_manager::containerd
