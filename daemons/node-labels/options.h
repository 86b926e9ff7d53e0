// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

namespace gpuhost::node_labels {

struct Options {
  std::string node;
  std::string kubeconfig;  // empty: the pod's service account, else $KUBECONFIG
};

// The options, or the exit status when there is nothing to do.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::node_labels
