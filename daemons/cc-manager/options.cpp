// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::string mode = "on";
  CLI::App app("Switches the confidential-computing mode of the GPUs of this machine",
               "cc-manager");
  app.set_version_flag("--version", service::kVersion);
  app.add_flag("--standalone", options.standalone, "Work without Kubernetes");
  app.add_option(
         "-m,--mode,--default-cc-mode", mode,
         "off, on, devtools or ppcie; with Kubernetes, what holds where the node has no label "
         "nvidia.com/cc.mode (default on)")
      ->envname("DEFAULT_CC_MODE");
  app.add_option("--node-name", options.node_name, "Our node in Kubernetes")->envname("NODE_NAME");
  app.add_option(
      "--kubeconfig", options.kubeconfig,
      "How to reach the API server (default: the pod's service account, then $KUBECONFIG)");
  app.add_flag("--once", options.once, "Switch, then exit; without it, stay and keep the mode");
  app.add_flag("--dry-run", options.dry_run, "Print what would be done and change nothing");
  app.add_flag("--force", options.force, "Switch also GPUs that are in use; their users lose them");
  app.add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
  app.add_flag("-v,--verbose", options.verbose, "Log every step");
  try {
    app.parse(argc, argv);
    const auto parsed = cc::ParseMode(mode);
    if (!parsed.ok()) throw CLI::ValidationError("--mode", Text(parsed.status()));
    options.mode = *parsed;
    if (options.standalone && app.count("--mode") == 0) {
      throw CLI::RequiredError("--mode, or $DEFAULT_CC_MODE, with --standalone");
    }
    if (!options.standalone && options.node_name.empty()) {
      throw CLI::RequiredError(
          "--node-name, or $NODE_NAME; or --standalone to work without Kubernetes");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::cc_manager
