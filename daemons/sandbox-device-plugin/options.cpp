// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <optional>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
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

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::string level = "info";
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
  app.add_option("--log-level", level, "The least important lines to print")
      ->check(CLI::IsMember(kLevels))
      ->capture_default_str();
  app.footer(
      "Environment: P_GPU_ALIAS and NVSWITCH_ALIAS name the resources of GPUs and NVSwitches\n"
      "(pgpu and nvswitch); set to nothing, each model is a resource of its own name.");
  try {
    app.parse(argc, argv);
    for (const std::string& path :
         {options.kubelet_dir, options.cdi_dir, options.pod_resources_socket}) {
      if (!path.starts_with('/')) throw CLI::ValidationError(path, "no absolute path");
    }
    const auto naming = Naming::Create(Variable("P_GPU_ALIAS"), Variable("NVSWITCH_ALIAS"));
    if (!naming.ok()) throw CLI::ValidationError(Text(naming.status()));
    options.naming = *naming;
    options.log_level = kLevels.at(level);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::sandbox_device_plugin
