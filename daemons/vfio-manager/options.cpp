// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"

namespace gpuhost::vfio_manager {
namespace {

void AddDeviceOptions(CLI::App& verb, Options& options, const std::string& switches) {
  auto* all = verb.add_flag("-a,--all", options.all, "All NVIDIA GPUs of this machine");
  auto* devices = verb.add_option("-d,--device-id", options.devices, "Address of one GPU");
  all->excludes(devices);
  verb.add_flag(switches, options.nvswitches, "NVSwitches too")->envname("BIND_NVSWITCHES");
  verb.add_flag("--dry-run", options.dry_run, "Print the writes and do none of them");
  verb.callback([&options] {
    if (options.all == options.devices.empty()) return;
    throw CLI::ValidationError("either --all or --device-id must be given");
  });
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app("Binds NVIDIA GPUs to vfio-pci, for use in virtual machines", "vfio-manager");
  app.set_version_flag("--version", service::kVersion);
  app.require_subcommand(1);
  app.add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
  app.add_flag("-v,--verbose", options.verbose, "Log every step");
  app.fallthrough();

  CLI::App* bind = app.add_subcommand("bind", "Bind GPUs to vfio-pci");
  AddDeviceOptions(*bind, options, "--bind-nvswitches");
  CLI::App* unbind = app.add_subcommand("unbind", "Take GPUs from vfio-pci; those in use stay");
  AddDeviceOptions(*unbind, options, "--unbind-nvswitches");
  CLI::App* run = app.add_subcommand("run", "Bind GPUs, also those that appear later; stay");
  AddDeviceOptions(*run, options, "--bind-nvswitches");
  for (CLI::App* verb : {bind, run}) {
    verb->add_option("--host-root", options.host_root, "Root directory in which modprobe runs")
        ->envname("HOST_ROOT");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  options.verb = bind->parsed() ? Verb::kBind : unbind->parsed() ? Verb::kUnbind : Verb::kRun;
  return options;
}

}  // namespace gpuhost::vfio_manager
