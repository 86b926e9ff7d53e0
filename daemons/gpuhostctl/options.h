// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace gpuhost::gpuhostctl {

struct Options {
  enum class Command { kStatus, kDevices, kGetMode, kDelegate } command = Command::kStatus;
  bool json = false;
  bool ask_firmware = false;
  std::string root = "/";
  // kDelegate: what another program of ours does, and the daemon that must not live meanwhile
  // (empty: any may).
  std::string program;
  std::vector<std::string> arguments;
  std::string unless_alive;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::gpuhostctl
