// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "daemons/node-validator/observe/tree.h"

namespace gpuhost::node_validator {

struct Process {
  int pid = 0;
  std::string program;                 // what it was started from: "/usr/bin/kubelet"
  std::vector<std::string> arguments;  // with the program's name first
  std::optional<int64_t> started;      // seconds since 1970
  std::string locked_memory;           // its limit: "unlimited" or a number of bytes

  // The value of "--name value" or "--name=value", also with one dash.
  std::optional<std::string> Option(std::string_view name) const;
};

// The processes by these names (/proc/<pid>/comm), the lowest number first.
std::vector<Process> FindProcesses(const Tree& tree, std::string_view name);

}  // namespace gpuhost::node_validator
