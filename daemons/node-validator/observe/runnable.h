// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/processes.h"

namespace gpuhost::node_validator {

// The first of `places` where there is a program, for asking it something: fixed paths and what
// units name, never what a process says of itself. Where the program runs as `process`, its file
// must be that one and still the same, else another version would answer. Empty: none.
std::string RunnableProgram(const Tree& tree, const std::vector<std::string>& places,
                            const std::optional<Process>& process);

// The program of an ExecStart= line: "/usr/bin/kubelet"; empty for none.
std::string ProgramOf(std::string_view exec_start);

}  // namespace gpuhost::node_validator
