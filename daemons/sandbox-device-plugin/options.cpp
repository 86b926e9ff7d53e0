// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <optional>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "daemons/sandbox-device-plugin/config_file.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

const std::map<std::string, service::Level> kLevels{{"debug", service::Level::kDebug},
                                                    {"info", service::Level::kInfo},
                                                    {"warning", service::Level::kWarning},
                                                    {"error", service::Level::kError}};

// CLI11 takes an empty variable for one that is not set; here they differ.
std::optional<std::string> Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

absl::StatusOr<ConfigFile> ReadConfigFile(const HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(const std::string text, fs.Read(path));
  auto config = ParseConfigFile(text);
  if (!config.ok()) return Annotate(config.status(), path);
  return config;
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::string level = "info", registration = "kubelet", ids = "number", unset_alias = "default";
  std::string config, node_labels = "auto";
  int labels_limit = 0;
  CLI::App app("Offers the GPUs and NVSwitches that are on vfio-pci to the kubelet",
               "sandbox-device-plugin");
  app.set_version_flag("--version", service::kVersion);
  app.add_option("--root", options.root, "Directory below which /sys, /dev and /var are");
  app.add_option("--kubelet-dir", options.kubelet_dir, "The kubelet's directory for device plugins")
      ->capture_default_str();
  app.add_option("--cdi-dir", options.cdi_dir, "Where CDI files go")->capture_default_str();
  app.add_option("--pod-resources-socket", options.pod_resources_socket,
                 "Where the kubelet tells which pods have which devices")
      ->capture_default_str();
  app.add_option("--register", registration,
                 "kubelet: tell the kubelet; watcher: wait in --plugins-registry to be found")
      ->check(CLI::IsMember({"kubelet", "watcher"}))
      ->capture_default_str();
  app.add_option("--plugins-registry", options.plugins_registry,
                 "The kubelet's directory for its plugin watcher")
      ->capture_default_str();
  app.add_option("--ids", ids,
                 "What devices are called: number, as in NVIDIA's plugin, or address. A device in "
                 "use keeps its name until it is free")
      ->check(CLI::IsMember({"number", "address"}))
      ->capture_default_str();
  app.add_flag("--require-iommufd", options.require_iommufd,
               "Offer only what can be opened by iommufd, as confidential guests need it");
  app.add_flag("--check-start", options.check_start,
               "Have devices checked again before each start of a container");
  app.add_flag("--kubevirt-environment", options.environment,
               "Tell containers the addresses of their devices, as KubeVirt needs it");
  app.add_flag("--reset-after-release", options.reset_after_release,
               "Reset a device when its last user has gone, before it is offered again");
  app.add_flag("--empty-list-at-end", options.empty_list_at_end,
               "When stopped, take the devices from the node's capacity at once");
  app.add_option("--metrics-address", options.metrics,
                 "Where to serve /metrics, /healthz and /readyz, like 127.0.0.1:9400");
  app.add_option("--node-labels", node_labels,
                 "Hold devices back until the labels cc.mode and cc.mode.state of our Kubernetes "
                 "node agree. auto: in a pod that knows its node and does not see where daemons of "
                 "a node tell of each other")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app.add_option("--node-name", options.node_name, "Our node in Kubernetes")->envname("NODE_NAME");
  app.add_option("--kubeconfig", options.kubeconfig,
                 "How to reach the API server, instead of the pod's service account");
  app.add_option("--labels-limit", labels_limit,
                 "Offer devices although labels do not agree for so many seconds; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--config", config,
                 "JSON file: \"resources\" with a name and devices or addresses, \"exclude\", "
                 "\"names\" of models, \"partitions\" of Fabric Manager's");
  app.add_option("--unset-alias", unset_alias,
                 "What a missing alias means: default, the names below, or model, as with the "
                 "first release of NVIDIA's plugin")
      ->check(CLI::IsMember({"default", "model"}))
      ->capture_default_str();
  app.add_option("--log-level", level, "The least important lines to print")
      ->check(CLI::IsMember(kLevels))
      ->capture_default_str();
  app.footer(
      "Environment: P_GPU_ALIAS and NVSWITCH_ALIAS name the resources of GPUs and NVSwitches\n"
      "(pgpu and nvswitch); set to nothing, each model is a resource of its own name.");
  try {
    app.parse(argc, argv);
    for (const std::string& path : {options.kubelet_dir, options.cdi_dir,
                                    options.pod_resources_socket, options.plugins_registry}) {
      if (!path.starts_with('/')) throw CLI::ValidationError(path, "no absolute path");
    }
    options.plugin_watcher = registration == "watcher";
    options.labels_patience = std::chrono::seconds(labels_limit);
    if (node_labels == "always") options.node_labels = Options::NodeLabels::kAlways;
    if (node_labels == "never") options.node_labels = Options::NodeLabels::kNever;
    if (node_labels == "always" && options.node_name.empty()) {
      throw CLI::ValidationError("--node-labels", "always needs --node-name or $NODE_NAME");
    }
    options.ids = ids == "address" ? Ids::kAddress : Ids::kNumber;
    const auto alias = [&](const char* name) {
      const auto value = Variable(name);
      return value || unset_alias == "default" ? value : std::optional<std::string>("");
    };
    const auto read = config.empty() ? ConfigFile{} : ReadConfigFile(HostFs(options.root), config);
    if (!read.ok()) throw CLI::ValidationError("--config", Text(read.status()));
    const auto naming = Naming::Create(alias("P_GPU_ALIAS"), alias("NVSWITCH_ALIAS"), read->naming);
    if (!naming.ok()) throw CLI::ValidationError(Text(naming.status()));
    options.naming = *naming;
    options.partitions = read->partitions;
    options.log_level = kLevels.at(level);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::sandbox_device_plugin
