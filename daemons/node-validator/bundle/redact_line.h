// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gpuhost::node_validator {

// Of a kernel's command line, the host's or a guest's: words that checks read, whole; of the others
// the name before the sign.
std::string CleanKernelLine(std::string_view content);
// Of a process's arguments, separated by NUL: the options that checks read with their values.
std::string CleanProcessLine(const std::string& content);
// Of a unit of systemd: the settings that checks read, and the program of ExecStart.
std::string CleanUnit(const std::string& content);

}  // namespace gpuhost::node_validator
