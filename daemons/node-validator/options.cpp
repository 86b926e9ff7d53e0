// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "daemons/common/service/version.h"

namespace gpuhost::node_validator {
namespace {

const std::map<std::string, Colours> kColours = {
    {"auto", Colours::kAuto}, {"always", Colours::kAlways}, {"never", Colours::kNever}};
const std::map<std::string, Workload> kWorkloads = {{"confidential", Workload::kConfidential},
                                                    {"passthrough", Workload::kPassthrough}};

// As the GPU Operator calls its validator.
struct Words {
  std::string component, wait, cleanup;
  ComponentOptions options;
  int interval = 5;
};

// Words of yes and no as Go programs take them; an empty variable is as good as none.
bool IsYes(const std::string& text) {
  const std::string word = CLI::detail::to_lower(text);
  if (word.empty() || word == "false" || word == "f" || word == "0") return false;
  if (word == "true" || word == "t" || word == "1") return true;
  throw CLI::ValidationError("'" + text + "' is neither true nor false");
}

void AddOperator(CLI::App& app, Words& words) {
  constexpr const char* kGroup = "In place of the GPU Operator's validator";
  app.add_option("-c,--component", words.component,
                 "cc-manager or vfio-pci: check this alone, and "
                 "write its status file")
      ->envname("COMPONENT")
      ->group(kGroup);
  app.add_flag("-w,--with-wait{true}", words.wait, "Wait until cc-manager is ready")
      ->envname("WITH_WAIT")
      ->group(kGroup);
  app.add_option("-o,--output-dir", words.options.directory, "Where status files are")
      ->envname("OUTPUT_DIR")
      ->group(kGroup);
  app.add_option("-s,--sleep-interval-seconds", words.interval, "Between two looks")
      ->envname("SLEEP_INTERVAL_SECONDS")
      ->check(CLI::Range(1, 3600))
      ->group(kGroup);
  app.add_flag("-r,--cleanup-all{true}", words.cleanup, "Remove all status files first")
      ->envname("CLEANUP_ALL")
      ->group(kGroup);
  app.add_option("-g,--default-gpu-workload-config", words.options.default_workload,
                 "Where the node has no label (vm-passthrough)")
      ->envname("DEFAULT_GPU_WORKLOAD_CONFIG")
      ->group(kGroup);
}

void AddCommon(CLI::App& app, Options& options) {
  app.set_version_flag("--version", service::kVersion);
  app.add_option("--host-root", options.root,
                 "Root directory of the node: /host in a container, or an unpacked support bundle");
  app.add_option_function<std::string>(
         "--workload", [&](const std::string& word) { options.workload = kWorkloads.at(word); },
         "confidential (default), or passthrough: GPUs in Kata without confidential computing")
      ->check(CLI::IsMember(kWorkloads));
  app.add_option("--handler", options.handlers,
                 "Runtime handlers to look at (default: those for such pods)");
  app.add_option("-n,--node-name", options.node_name,
                 "Our node in Kubernetes: its labels and RuntimeClasses are checked, too")
      ->envname("NODE_NAME");
  app.add_option(
      "--kubeconfig", options.kubeconfig,
      "How to reach the API server (default: the pod's service account, then $KUBECONFIG)");
  app.add_flag_callback(
      "--deep", [&] { options.depth = Depth::kDeep; },
      "Read guest images as a whole, which takes a second or more for each, and start the "
      "hypervisor for a moment");
  app.add_flag("-a,--all", options.all, "Show also what is fine");
  app.add_flag("--json", options.json, "For programs");
  app.add_flag("--list", options.list, "List all checks");
  app.add_option("--explain", options.explain, "What a check asks, why, and what to do");
  app.add_option_function<std::string>(
         "--color,--colour", [&](const std::string& word) { options.colours = kColours.at(word); },
         "auto (default: on a terminal, unless NO_COLOR is set), always or never")
      ->check(CLI::IsMember(kColours));
  app.add_option("--status-directory", options.status_directory,
                 "Write node-validator.report.json and node-validator.prom there, and node-ready "
                 "while nothing is fatal");
  app.add_option("--support-bundle", options.bundle,
                 "Write an archive (.tar.gz) with all that a maintainer needs, without secrets");
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  Words words;
  CLI::App app(
      "Will a confidential GPU pod start on this node, and if not, what is to be done?\n"
      "Reads only. Exit status: 0 it will, 1 it will not, 2 with reservations, 3 trouble of its "
      "own.",
      "node-validator");
  AddCommon(app, options);
  AddOperator(app, words);
  try {
    app.parse(argc, argv);
    words.options.wait = IsYes(words.wait);
    words.options.cleanup = IsYes(words.cleanup);
    if (!words.component.empty()) {
      words.options.component = words.component;
      words.options.node_name = options.node_name;
      words.options.interval = std::chrono::seconds(words.interval);
      options.component = words.options;
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kReady : kTrouble;
  }
  return options;
}

}  // namespace gpuhost::node_validator
