// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::string mode;
  bool standalone = false;
  CLI::App app("Switches the confidential-computing mode of the GPUs of this machine",
               "cc-manager");
  app.set_version_flag("--version", service::kVersion);
  app.add_flag("--standalone", standalone, "Work without Kubernetes (the only way in this version)")
      ->required();
  app.add_option("-m,--mode", mode, "off, on or devtools")->required()->envname("GPUHOST_CC_MODE");
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
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::cc_manager
