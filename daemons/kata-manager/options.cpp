// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "daemons/kata-manager/legacy.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kOldConfig = "/etc/kubernetes/kata-manager/config.yaml";
constexpr const char* kArtifacts = "/var/lib/gpuhost/kata";
constexpr const char* kConfig = "/etc/gpuhost/kata-manager.yaml";
// Where the GPU Operator mounts the directory of containerd's configuration, and its usual place.
constexpr const char* kMounted = "/runtime/config-dir/";
constexpr const char* kUsual = "/etc/containerd";
constexpr const char* kHost = "/host";  // and the host's tree

struct Words {
  std::string load_modules = "true", cdi, log_level;
};

// As Go programs take them; an empty variable is as good as none.
std::optional<bool> ToBool(const std::string& name, const std::string& word) {
  const std::string lower = CLI::detail::to_lower(word);
  if (lower == "true" || lower == "t" || lower == "1") return true;
  if (lower == "false" || lower == "f" || lower == "0") return false;
  if (lower.empty()) return std::nullopt;
  throw CLI::ValidationError(name, "'" + word + "' is neither true nor false");
}

bool IsWholeHost(const std::string& root) {
  return ::access((root + "/usr").c_str(), F_OK) == 0 &&
         ::access((root + "/proc/1").c_str(), F_OK) == 0;
}

void AddFiles(CLI::App& app, Options& options) {
  app.add_option("-c,--config-file,--config", options.config_path,
                 std::string("Runtime classes and more (default ") + kConfig + ", if it exists)")
      ->envname("CONFIG_FILE");
  app.add_option("--artifacts-dir", options.artifacts_dir,
                 std::string("Where artefacts and our own records are, if the file does not say "
                             "(default ") +
                     kArtifacts + ")")
      ->envname("KATA_ARTIFACTS_DIR");
  app.add_option("--host-root", options.host_root,
                 "Root directory of the host: Kata, the program of containerd and modprobe")
      ->envname("HOST_ROOT");
  app.add_option("--root", options.root, "Where /sys, /run and configuration files are");
}

void AddRuntime(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "Container runtime";
  app.add_option("--runtime", options.runtime, "containerd (default) or crio")
      ->envname("RUNTIME")
      ->check(CLI::IsMember({"containerd", "crio", ""}))
      ->group(kGroup);
  app.add_option("--containerd-config", options.containerd_config,
                 "Its main file (default: looked for)")
      ->envname("CONTAINERD_CONFIG")
      ->group(kGroup);
  app.add_option("--containerd-config-dir-on-host", options.containerd_directory,
                 "Directory of that file as containerd sees it, where this is a container")
      ->group(kGroup);
  app.add_option("--containerd-socket", options.containerd_socket, "Its socket (default: likewise)")
      ->envname("CONTAINERD_SOCKET")
      ->group(kGroup);
  app.add_option("--crio-config", options.crio_config, "Main file of CRI-O")
      ->envname("CRIO_CONFIG")
      ->group(kGroup);
}

void AddRest(CLI::App& app, Options& options, Words& words) {
  app.add_flag("--load-kernel-modules{true}", words.load_modules,
               "Load vhost-vsock and vhost-net (default true)")
      ->envname("LOAD_KERNEL_MODULES");
  app.add_flag("--cdi-enabled{true}", words.cdi,
               "Look after the CDI files (default: as cdi.mode of the configuration says)")
      ->envname("CDI_ENABLED");
  app.add_option("-n,--namespace", options.name_space,
                 "Of the secrets with registries' passwords (default: our own)")
      ->envname("POD_NAMESPACE");
  app.add_option("--kubeconfig", options.kubeconfig,
                 "How to reach the API server, for secrets only (default: the service account)");
  app.add_option("--pid-file", options.pid_file,
                 "Exists once a first pass is over, with our process id");
  app.add_option("--http-address", options.http_address,
                 "Where to serve /metrics, /healthz and /readyz, like 127.0.0.1:9401");
  app.add_option("-l,--log-level", words.log_level, "2 or more: log every step")->group("");
  app.add_flag("-v,--verbose", options.verbose, "Log every step");
}

using Verbs = std::vector<std::pair<CLI::App*, Verb>>;

Verbs AddVerbs(CLI::App& app, Options& options) {
  app.fallthrough();
  const auto add = [&app](const char* name, const char* description) {
    return app.add_subcommand(name, description);
  };
  CLI::App* plan =
      add("plan", "Print what apply would do; exit status 2 when it would do anything");
  Verbs verbs = {{add("run", "Keep everything as the configuration says; stay"), Verb::kRun},
                 {plan, Verb::kPlan}};
  CLI::App* apply = add("apply", "Make everything as the configuration says, once");
  verbs.insert(verbs.end(),
               {{apply, Verb::kApply},
                {add("verify", "Look whether all is as it should be"), Verb::kVerify},
                {add("status", "Print classes, generations and owners of files"), Verb::kStatus}});
  CLI::App* pull = add("pull", "Fetch the artefacts of classes and touch nothing else");
  verbs.insert(verbs.end(), {{pull, Verb::kPull},
                             {add("gc", "Remove artefacts that nothing needs"), Verb::kGc}});
  CLI::App* rollback =
      add("rollback",
          "Point classes to their artefacts of before; without a name, take the last "
          "change of containerd's files back");
  CLI::App* uninstall = add("uninstall", "Take back all that was done");
  verbs.insert(
      verbs.end(),
      {{rollback, Verb::kRollback},
       {uninstall, Verb::kUninstall},
       {add("print-runtimeclasses", "Print the RuntimeClass objects, for kubectl apply -f -"),
        Verb::kPrintRuntimeClasses}});
  for (CLI::App* verb : {pull, rollback}) verb->add_option("class", options.classes, "Names");
  for (CLI::App* verb : {apply, rollback, uninstall}) {
    verb->add_flag("--force", options.force, "Also where sandboxes run with what goes away");
  }
  plan->add_flag("--legacy", options.legacy, "Print what uninstall --legacy would do");
  uninstall->add_flag("--legacy", options.legacy,
                      "What NVIDIA's k8s-kata-manager left on the node, and nothing else");
  return verbs;
}

void Interpret(const Words& words, bool is_old, Options& options) {
  options.load_modules = ToBool("--load-kernel-modules", words.load_modules).value_or(true);
  options.cdi_enabled = ToBool("--cdi-enabled", words.cdi);
  options.verbose = options.verbose || (words.log_level > "1" && words.log_level.size() == 1);
  options.config_given = !options.config_path.empty();
  if (options.config_path.empty()) options.config_path = is_old ? kOldConfig : kConfig;
  if (options.artifacts_dir.empty()) options.artifacts_dir = is_old ? kLegacyDirectory : kArtifacts;
  if (is_old && options.pid_file.empty()) {
    options.pid_file = options.artifacts_dir + "/" + kLegacyProgram + ".pid";
  }
  if (is_old && options.host_root == "/" && IsWholeHost(kHost)) options.host_root = kHost;
  if (options.containerd_directory.empty() && options.containerd_config.starts_with(kMounted)) {
    options.containerd_directory = kUsual;
  }
  for (const std::string& path : {options.artifacts_dir, options.containerd_config}) {
    if (!path.empty() && path.front() != '/') {
      throw CLI::ValidationError("'" + path + "' must be an absolute path");
    }
  }
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  const std::string called(argc > 0 ? argv[0] : "");
  const bool is_old = called.substr(called.rfind('/') + 1) == kLegacyProgram;
  Options options;
  Words words;
  CLI::App app("Prepares a node for confidential GPU pods by Kata Containers", "kata-manager");
  app.set_version_flag("--version", service::kVersion);
  AddFiles(app, options);
  AddRuntime(app, options);
  AddRest(app, options, words);
  const Verbs verbs = AddVerbs(app, options);
  app.require_subcommand(is_old ? 0 : 1, 1);
  try {
    app.parse(argc, argv);
    Interpret(words, is_old, options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  for (const auto& [subcommand, verb] : verbs) {
    if (subcommand->parsed()) options.verb = verb;
  }
  return options;
}

}  // namespace gpuhost::kata_manager
