// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "daemons/cc-manager/config.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

constexpr const char* kConfig = "/etc/gpuhost/cc-manager.toml";

// What is given as text and means something.
struct Words {
  std::string mode, policy = "wait", format = "mirror", readiness = "compat", evict = "true";
  bool force = false;
};

void AddKubernetes(CLI::App& app, Options& options, Words& words) {
  constexpr const char* kGroup = "With Kubernetes";
  app.add_option("--node-name", options.node_name, "Our node")->envname("NODE_NAME")->group(kGroup);
  app.add_option(
         "--kubeconfig", options.kubeconfig,
         "How to reach the API server (default: the pod's service account, then $KUBECONFIG)")
      ->group(kGroup);
  app.add_option("--operator-namespace", options.operator_namespace,
                 "Where the GPU Operator's pods are (default: our own namespace)")
      ->envname("OPERATOR_NAMESPACE")
      ->group(kGroup);
  app.add_option("--evict-operator-components", words.evict,
                 "true: pause the GPU Operator's pods on this node for the time of a change")
      ->envname("EVICT_OPERATOR_COMPONENTS")
      ->group(kGroup);
  app.add_option("--mode-state-format", words.format,
                 "What label cc.mode.state says: mirror (the mode) or seed (off while a change is "
                 "under way, on when done)")
      ->check(CLI::IsMember({"mirror", "seed"}))
      ->group(kGroup);
  app.add_flag("--label-cc-capable", options.settings.label_capable,
               "Keep the label nvidia.com/cc.capable")
      ->group(kGroup);
  app.add_option("--readiness-file", options.settings.readiness_file,
                 "Exists when a first pass is over (default with Kubernetes: "
                 "/run/nvidia/validations/.cc-manager-ctr-ready)")
      ->envname("CC_READINESS_FILE")
      ->group(kGroup);
  app.add_option("--readiness", words.readiness,
                 "compat: the file exists also after a failure; strict: only in the mode")
      ->check(CLI::IsMember({"compat", "strict"}))
      ->group(kGroup);
}

void AddCommon(CLI::App& app, Options& options, Words& words) {
  app.set_version_flag("--version", service::kVersion);
  app.add_flag("--standalone", options.standalone, "Work without Kubernetes");
  app.add_option("--config", options.config_path,
                 fmt::format("Without Kubernetes: a file with mode, workload-policy, http-address; "
                             "read again on SIGHUP (default {}, if it exists)",
                             kConfig));
  app.add_option(
      "-m,--mode,--default-cc-mode", words.mode,
      "off, on, devtools or ppcie; with Kubernetes, what holds where the node has no label "
      "nvidia.com/cc.mode. Else the configuration file says it, else $DEFAULT_CC_MODE (default "
      "on)");
  app.add_option(
         "--workload-policy", words.policy,
         "What becomes of those who use GPUs: wait (for them; default), refuse (the change; "
         "default with --once), drain (evict their pods) or force (they lose them)")
      ->check(CLI::IsMember({"wait", "refuse", "drain", "force"}));
  app.add_flag("--force", words.force, "The same as --workload-policy force");
  app.add_option("--http-address", options.http_address,
                 "Where to serve /metrics, /healthz and /readyz, like 127.0.0.1:9400 (default: "
                 "nowhere)");
  app.add_flag("--once", options.once, "Switch, then exit; without it, stay and keep the mode");
  auto* dry_run =
      app.add_flag("--dry-run", options.dry_run, "Print what would be done and change nothing");
  app.add_flag("--json", options.json, "Print that as JSON")->needs(dry_run);
  app.add_option_function<std::string>(
         "--api-user",
         [&options](const std::string& text) {
           const auto user = ParseDecimal(text, 4294967294);
           if (text != "same" && !user) {
             throw CLI::ValidationError("--api-user", "give a user's number, or same");
           }
           options.api_user = user ? std::optional(static_cast<uid_t>(*user)) : std::nullopt;
         },
         fmt::format("Number of the user as whom the side that talks to the API server runs, or "
                     "same: who starts cc-manager (default {})",
                     kApiUser))
      ->type_name("USER");
  app.add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
  app.add_flag("-v,--verbose,--debug", options.verbose, "Log every step");
}

// What the configuration file says, where the command line says nothing. Whether it said a mode.
bool AddConfig(const CLI::App& app, Options& options) {
  const HostFs own;
  const bool by_default = options.config_path.empty();
  if (by_default) options.config_path = kConfig;
  const auto config = ReadConfig(own, options.config_path);
  // It may come later, and be read then.
  if (by_default && absl::IsNotFound(config.status())) return false;
  if (!config.ok()) throw CLI::ValidationError("--config", Text(config.status()));
  if (config->mode && !options.mode_fixed) options.mode = *config->mode;
  if (config->policy && app.count("--workload-policy") == 0) {
    options.settings.policy = *config->policy;
  }
  if (options.http_address.empty()) options.http_address = config->http_address;
  return config->mode.has_value();
}

void Interpret(const CLI::App& app, const Words& words, Options& options) {
  Settings& settings = options.settings;
  const char* environment = std::getenv("DEFAULT_CC_MODE");
  const std::string mode = !words.mode.empty() || environment == nullptr ? words.mode : environment;
  options.mode = cc::ParseMode(mode.empty() ? "on" : mode);
  const bool policy_given = app.count("--workload-policy") > 0;
  const std::string policy = words.force                     ? "force"
                             : options.once && !policy_given ? "refuse"
                                                             : words.policy;
  settings.policy = ParsePolicy(policy).value();
  settings.patient = !options.once;
  settings.format = words.format == "seed" ? StateFormat::kSeed : StateFormat::kMirror;
  settings.evict_operands = CLI::detail::to_lower(words.evict) == "true";
  settings.readiness_strict = words.readiness == "strict";
  if (!options.standalone) {
    if (options.node_name.empty()) {
      throw CLI::RequiredError(
          "--node-name, or $NODE_NAME; or --standalone to work without Kubernetes");
    }
    if (settings.readiness_file.empty()) {
      settings.readiness_file = "/run/nvidia/validations/.cc-manager-ctr-ready";
    }
    return;
  }
  options.mode_fixed = !words.mode.empty();
  const bool configured = AddConfig(app, options);
  if (mode.empty() && !configured) {
    throw CLI::RequiredError("--mode, $DEFAULT_CC_MODE or a configuration file, with --standalone");
  }
  if (!options.mode.ok()) throw CLI::ValidationError("--mode", Text(options.mode.status()));
  if (settings.policy == WorkloadPolicy::kDrain) {
    throw CLI::ValidationError("--workload-policy",
                               "drain evicts pods, and without Kubernetes there are none");
  }
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  Words words;
  CLI::App app("Switches the confidential-computing mode of the GPUs of this machine",
               "cc-manager");
  AddCommon(app, options, words);
  AddKubernetes(app, options, words);
  try {
    app.parse(argc, argv);
    Interpret(app, words, options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::cc_manager
