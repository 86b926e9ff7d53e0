// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemons/node-validator/observe/facts.h"
#include "daemons/node-validator/operator/component.h"

namespace gpuhost::node_validator {

enum class Colours { kAuto, kAlways, kNever };

struct Options {
  std::string root = "/";
  Workload workload = Workload::kConfidential;
  std::vector<std::string> handlers;
  std::string node_name, kubeconfig;  // both empty: the API server is not asked
  Depth depth = Depth::kQuick;
  bool json = false;
  bool all = false;
  bool list = false;
  std::string explain;  // a check's id
  Colours colours = Colours::kAuto;
  std::string bundle;            // a file to write
  std::string status_directory;  // of the report for others; empty: none
  // In place of the GPU Operator's validator.
  std::optional<ComponentOptions> component;
};

// Exit status of this program; unlike the others it answers a question.
enum Exit : int { kReady = 0, kNotReady = 1, kDegraded = 2, kTrouble = 3 };

// The options, or the exit status when there is nothing to do.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::node_validator
