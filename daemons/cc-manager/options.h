// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>

#include "libgpuhost/cc/mode.h"

namespace gpuhost::cc_manager {

struct Options {
  bool standalone = false;        // without Kubernetes
  cc::Mode mode = cc::Mode::kOn;  // with Kubernetes: of a node without label
  std::string node_name;
  std::string kubeconfig;  // empty: the pod's service account, else $KUBECONFIG
  bool once = false;       // one pass, then exit
  bool dry_run = false;    // print the plan, change nothing
  bool force = false;      // also GPUs that are in use
  std::string root = "/";
  bool verbose = false;
};

// The options, or the exit status when there is nothing to do (--help, --version, bad usage; the
// text has been printed).
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace gpuhost::cc_manager
