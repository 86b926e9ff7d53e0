// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"

namespace gpuhost::gpuhostctl {

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app("Shows the GPUs of a confidential-computing host", "gpuhostctl");
  app.set_version_flag("--version", service::kVersion);
  app.require_subcommand(1);
  CLI::App* status = app.add_subcommand("status", "Each GPU and NVSwitch: driver, VFIO node, mode");
  status->add_flag("--json", options.json, "For programs");
  status->add_flag("--ask-firmware", options.ask_firmware,
                   "Ask each idle GPU's firmware for the pending mode; this sends it messages, "
                   "while the plain status only reads");
  status->add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
  CLI::App* devices = app.add_subcommand(
      "devices", "What is offered to the kubelet, and which pods have it; as last published");
  devices->add_option("--root", options.root, "Directory below which /run is");
  CLI::App* doctor = app.add_subcommand(
      "doctor",
      "Whether confidential GPU pods will start here, and what is to be done: node-validator");
  doctor->prefix_command()->set_help_flag();
  try {
    app.parse(argc, argv);
    if (doctor->parsed())
      options = {.command = Options::Command::kDoctor, .doctor = doctor->remaining()};
    if (devices->parsed()) options.command = Options::Command::kDevices;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::gpuhostctl
