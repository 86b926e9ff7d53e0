// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-labels/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"

namespace gpuhost::node_labels {

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app("Prints the labels of a Kubernetes node that begin with nvidia.com/, as JSON",
               "gpuhost-node-labels");
  app.set_version_flag("--version", service::kVersion);
  app.add_option("node", options.node, "Name of the node")->required();
  app.add_option("--kubeconfig", options.kubeconfig,
                 "How to reach the API server, instead of the pod's service account");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::node_labels
