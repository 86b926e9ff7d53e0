// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gpuhost::kubelet {

struct Options {
  std::string directory = "/var/lib/kubelet/device-plugins";
  std::optional<int> until_devices;                      // healthy ones, of all resources together
  std::vector<std::pair<std::string, size_t>> allocate;  // resource and count
  int timeout = 60;                                      // seconds
};

// The options, or the exit status when there is nothing to do.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::kubelet
