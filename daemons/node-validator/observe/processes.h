// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "daemons/node-validator/observe/tree.h"

namespace gpuhost::node_validator {

struct Process {
  int pid = 0;
  std::string program;                 // the file that it runs; a text to compare, not to run
  bool replaced = false;               // that file has been removed or replaced since
  std::vector<std::string> arguments;  // with the program's name first
  std::string unit;                    // its service; "" for none
  std::optional<int64_t> started;      // seconds since 1970
  std::string locked_memory;           // its limit: "unlimited" or a number of bytes

  // The value of "--name value" or "--name=value", also with one dash.
  std::optional<std::string> Option(std::string_view name) const;
};

// "pid 1201 (docker.service)".
std::string ToString(const Process& process);

// Those of the node itself: see daemons/common/node/process.h. A bundle that was made before
// processes were proved has the names alone; there they count.
struct Processes {
  std::vector<Process> own;        // lowest number first
  std::vector<Process> elsewhere;  // root's, in no service of this program
  absl::Status complete;           // not OK: there may be others
};
Processes FindProcesses(const Tree& tree, std::string_view name);

}  // namespace gpuhost::node_validator
