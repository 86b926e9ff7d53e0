// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "daemons/gpuhostctl/verbs.h"

namespace gpuhost::gpuhostctl {
namespace {

using Command = Options::Command;

// What the words of the command line say before it is known what they ask for.
struct Words {
  std::string mode, shell;
  bool dry_run = false, force = false;
};

const std::map<std::string, std::vector<std::string>> kWords{
    {"set", {"off", "on", "devtools", "ppcie"}},
    {"plan", {"off", "on", "devtools", "ppcie"}},
    {"completion", {"bash", "zsh", "fish"}}};

Flag ToFlag(const CLI::Option& option) {
  Flag flag{.value = option.get_expected_max() == 0 ? "" : option.get_type_name(),
            .help = option.get_description()};
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  if (flag.names.empty()) flag.names.push_back(option.get_name(true));
  return flag;
}

Verb ToVerb(const CLI::App& app) {
  Verb verb{
      .name = app.get_name(), .help = app.get_description(), .passes_on = app.get_prefix_command()};
  for (const CLI::Option* option : app.get_options()) {
    (option->get_positional() ? verb.arguments : verb.flags).push_back(ToFlag(*option));
  }
  for (const CLI::App* next : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!next->get_group().empty()) verb.verbs.push_back(ToVerb(*next));
  }
  // vfio plan takes options of vfio-manage, not a mode.
  const auto words = kWords.find(verb.name);
  if (words != kWords.end() && !verb.arguments.empty()) verb.words = words->second;
  return verb;
}

void AddRoot(CLI::App* command, Options& options) {
  command->add_option("--root", options.root, "Directory below which /sys, /proc and /run are");
}

void AddReaders(CLI::App& app, Options& options) {
  CLI::App* status = app.add_subcommand("status", "Each GPU and NVSwitch: driver, VFIO node, mode");
  status->add_flag("--json", options.json, "For programs");
  status->add_flag("--ask-firmware", options.ask_firmware,
                   "Ask each idle GPU's firmware for the pending mode; this sends it messages, "
                   "while the plain status only reads");
  status->add_flag("--watch", options.watch, "Show it anew whenever it changes, until Ctrl-C");
  AddRoot(status, options);
  CLI::App* devices = app.add_subcommand(
      "devices", "What is offered to the kubelet, and which pods have it; as last published");
  devices->add_flag("--json", options.json, "For programs");
  AddRoot(devices, options);
  devices->callback([&options] { options.command = Command::kDevices; });
  CLI::App* events =
      app.add_subcommand("events", "The last changes of mode, with what took how long");
  events->add_flag("--json", options.json, "For programs");
  AddRoot(events, options);
  events->callback([&options] { options.command = Command::kEvents; });
  CLI::App* top = app.add_subcommand("top", "Watch a change of mode, until Ctrl-C");
  AddRoot(top, options);
  top->callback([&options] { options.command = Command::kTop; });
  CLI::App* attestation = app.add_subcommand(
      "attestation", "What pods and Trustee need so that this node's GPUs are attested");
  attestation->add_option("--kbs", options.kbs_url, "Where Trustee listens, http://ADDRESS:PORT")
      ->default_val("http://KBS-ADDRESS:8080");
  attestation->add_flag("--json", options.json, "For programs");
  AddRoot(attestation, options);
  attestation->callback([&options] { options.command = Command::kAttestation; });
}

// cc-manager does it, once and as on a machine without Kubernetes.
void ChangeMode(Options& options, const Words& words, bool dry_run) {
  options.command = Command::kDelegate;
  options.program = "cc-manager";
  options.arguments = {"--standalone", "--once", "--mode", words.mode, "--root", options.root};
  if (words.force) options.arguments.push_back("--force");
  if (dry_run) options.arguments.push_back("--dry-run");
  if (options.json) options.arguments.push_back("--json");
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
  auto* dry_run =
      set->add_flag("--dry-run", words.dry_run, "Print what would be done and change nothing");
  set->add_flag("--json", options.json, "Print that for programs")->needs(dry_run);
  set->add_flag("--force", words.force, "Also where a GPU is in use: who uses it loses it");
  set->callback([&] { ChangeMode(options, words, words.dry_run); });
  CLI::App* plan = cc->add_subcommand("plan", "The same as set --dry-run");
  plan->add_flag("--json", options.json, "For programs");
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
    command->prefix_command()->set_help_flag();  // what follows is for vfio-manage
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

// What follows is for node-validator, --help included.
void AddDoctor(CLI::App& app, Options& options) {
  CLI::App* doctor = app.add_subcommand(
      "doctor",
      "Whether confidential GPU pods will start here, and what is to be done: node-validator");
  doctor->prefix_command()->set_help_flag();
  doctor->callback([&options, doctor] {
    options.command = Command::kDelegate;
    options.program = "node-validator";
    options.arguments = doctor->remaining();
  });
}

void AddTexts(CLI::App& app, Words& words) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print a script that completes our words");
  completion->add_option("shell", words.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.add_subcommand("manual", "Print our manual page")->group("");
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
  AddDoctor(app, options);
  AddTexts(app, words);
  try {
    app.parse(argc, argv);
    if (app.got_subcommand("completion")) {
      fmt::print("{}", Completion(ToVerb(app), words.shell));
      return service::kDone;
    }
    if (app.got_subcommand("manual")) {
      fmt::print("{}", ManualPage(ToVerb(app), service::kVersion));
      return service::kDone;
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  return options;
}

}  // namespace gpuhost::gpuhostctl
