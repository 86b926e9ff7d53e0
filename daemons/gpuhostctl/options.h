// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace gpuhost::gpuhostctl {

struct Options {
  enum class Command { kStatus, kDevices, kDoctor } command = Command::kStatus;
  bool json = false;
  bool ask_firmware = false;
  std::string root = "/";
  std::vector<std::string> doctor;  // arguments of node-validator
};

std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::gpuhostctl
