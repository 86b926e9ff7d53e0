// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/options.h"

#include <CLI/CLI.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"

namespace gpuhost::gpuhostctl {
namespace {

using Command = Options::Command;

// What the words of the command line say before it is known what they ask for.
struct Words {
  std::string mode;
  bool dry_run = false, force = false;
};

void AddRoot(CLI::App* command, Options& options) {
  command->add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
}

void AddReaders(CLI::App& app, Options& options) {
  CLI::App* status = app.add_subcommand("status", "Each GPU and NVSwitch: driver, VFIO node, mode");
  status->add_flag("--json", options.json, "For programs");
  status->add_flag("--ask-firmware", options.ask_firmware,
                   "Ask each idle GPU's firmware for the pending mode; this sends it messages, "
                   "while the plain status only reads");
  AddRoot(status, options);
  CLI::App* devices = app.add_subcommand(
      "devices", "What is offered to the kubelet, and which pods have it; as last published");
  AddRoot(devices, options);
  devices->callback([&options] { options.command = Command::kDevices; });
}

// cc-manager does it, once and as on a machine without Kubernetes.
void ChangeMode(Options& options, const Words& words, bool dry_run) {
  options.command = Command::kDelegate;
  options.program = "cc-manager";
  options.arguments = {"--standalone", "--once", "--mode", words.mode, "--root", options.root};
  if (words.force) options.arguments.push_back("--force");
  if (dry_run) options.arguments.push_back("--dry-run");
  if (!dry_run) options.unless_alive = "cc-manager";
}

void AddMode(CLI::App& app, Options& options, Words& words) {
  CLI::App* cc = app.add_subcommand("cc", "The confidential-computing mode of this machine");
  cc->require_subcommand(1);
  CLI::App* get = cc->add_subcommand("get", "The mode that all devices are in, or that of each");
  get->add_flag("--json", options.json, "For programs");
  AddRoot(get, options);
  get->callback([&options] { options.command = Command::kGetMode; });

  CLI::App* set = cc->add_subcommand("set", "Switch all devices of this machine, once");
  set->add_flag("--dry-run", words.dry_run, "Print what would be done and change nothing");
  set->add_flag("--force", words.force, "Also where a GPU is in use: who uses it loses it");
  set->callback([&] { ChangeMode(options, words, words.dry_run); });
  CLI::App* plan = cc->add_subcommand("plan", "The same as set --dry-run");
  plan->callback([&] { ChangeMode(options, words, true); });
  for (CLI::App* command : {set, plan}) {
    command->add_option("mode", words.mode, "off, on, devtools or ppcie")->required();
    AddRoot(command, options);
  }
}

void AddVfio(CLI::App& app, Options& options) {
  CLI::App* vfio = app.add_subcommand("vfio", "The drivers of the GPUs and NVSwitches");
  vfio->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, std::vector<std::string> first) {
    CLI::App* command = vfio->add_subcommand(name, help);
    command->prefix_command();  // what follows is for vfio-manage
    command->callback([&options, command, first = std::move(first)] {
      options.command = Command::kDelegate;
      options.program = "vfio-manage";
      options.arguments = first;
      for (const std::string& word : command->remaining()) options.arguments.push_back(word);
    });
  };
  add("bind", "vfio-manage bind, with its options: --all, --device-id BDF, ...", {"bind"});
  add("unbind", "vfio-manage unbind, with its options", {"unbind"});
  add("plan", "vfio-manage bind --dry-run, with its options", {"bind", "--dry-run"});
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  Words words;
  CLI::App app("Shows and switches the GPUs of a confidential-computing host", "gpuhostctl");
  app.set_version_flag("--version", service::kVersion);
  app.require_subcommand(1);
  AddReaders(app, options);
  AddMode(app, options, words);
  AddVfio(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::gpuhostctl
