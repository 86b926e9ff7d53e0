// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

namespace gpuhost::gpuhostctl {

struct Options {
  enum class Command { kStatus, kDevices } command = Command::kStatus;
  bool json = false;
  bool ask_firmware = false;
  std::string root = "/";
};

std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::gpuhostctl
