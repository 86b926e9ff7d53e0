// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/options.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <sstream>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/version.h"
#include "daemons/vfio-manager/host_root.h"

namespace gpuhost::vfio_manager {
namespace {

// Words of yes and no as Go programs take them; an empty variable is as good as none.
const std::map<std::string, Switches> kSwitches = {
    {"auto", Switches::kAuto}, {"", Switches::kAuto}, {"true", Switches::kYes},
    {"t", Switches::kYes},     {"1", Switches::kYes}, {"false", Switches::kNo},
    {"f", Switches::kNo},      {"0", Switches::kNo},
};
const std::map<std::string, vfio::Goal> kTargets = {{"none", vfio::Goal::kDriverless},
                                                    {"default", vfio::Goal::kDefault},
                                                    {"nvidia", vfio::Goal::kNvidia}};
const std::map<std::string, OnExit> kExits = {{"leave", OnExit::kLeave},
                                              {"unbind-idle", OnExit::kUnbindIdle},
                                              {"unbind-all", OnExit::kUnbindAll}};

const std::map<std::string, vfio::Backend> kBackends = {{"auto", vfio::Backend::kAuto},
                                                        {"group", vfio::Backend::kGroup},
                                                        {"iommufd", vfio::Backend::kIommufd}};

// An option that takes one of the words of `words`.
template <typename T>
void AddChoice(CLI::App& app, const std::string& name, T& value,
               const std::map<std::string, T>& words, const std::string& description) {
  const auto choose = [&value, &words](const std::string& word) { value = words.at(word); };
  app.add_option_function<std::string>(name, choose, description)
      ->check(CLI::IsMember(words))
      ->type_name("WORD");
}

void AddDeviceOptions(CLI::App& verb, Options& options, const std::string& switches) {
  verb.add_flag("-a,--all", options.all, "All NVIDIA GPUs of this machine");
  verb.add_option("-d,--device-id", options.devices, "Address of one GPU");
  auto text = std::make_shared<std::string>("auto");
  verb.add_flag(switches + "{true}", *text,
                "NVSwitches too: true, false, or auto (where the mode of the node is ppcie)")
      ->envname("BIND_NVSWITCHES");
  verb.add_option("--allow", options.allow, "Only these: addresses, or ids like 10de:2331")
      ->delimiter(',');
  verb.add_option("--deny", options.deny, "Never these")->delimiter(',');
  verb.callback([&options, text] {
    const auto found = kSwitches.find(CLI::detail::to_lower(*text));
    if (found == kSwitches.end()) {
      throw CLI::ValidationError("NVSwitches: '" + *text + "' is none of auto, true, false");
    }
    options.nvswitches = found->second;
    if (options.all && !options.devices.empty()) {
      throw CLI::ValidationError("cannot specify both --all and --device-id");
    }
    if (!options.all && options.devices.empty()) {
      throw CLI::ValidationError("either --all or --device-id must be specified");
    }
  });
}

// Of commands that end.
void AddOnceOptions(CLI::App& verb, Options& options) {
  auto* dry_run =
      verb.add_flag("--dry-run", options.dry_run, "Print the writes and do none of them");
  verb.add_flag("--json", options.json, "Print them as JSON")->needs(dry_run);
  verb.add_flag("--compat-exit", options.compat_exit,
                "Exit status 0 whatever happens to devices, as NVIDIA's vfio-manage has it");
}

// --host-root as it is given; $HOST_ROOT is not always the truth.
void AddHostRoot(CLI::App& app, Options& options, std::string fallback) {
  app.fallthrough();  // inherited by subcommands that are added later
  const char* variable = std::getenv("HOST_ROOT");
  options.host_root = HostRoot(variable != nullptr ? variable : fallback, "/host");
  app.add_option("--host-root", options.host_root,
                 "Root directory of the host: modprobe runs there, and /sys, /proc, /dev and /run "
                 "are looked for there (default: $HOST_ROOT)");
  app.add_option("--root", options.root, "Where /sys, /proc, /dev and /run are instead");
}

std::variant<Options, int> Parse(CLI::App& app, Options& options, std::vector<std::string> words) {
  app.set_version_flag("--version", service::kVersion);
  app.require_subcommand(1);
  app.add_flag("-v,--verbose", options.verbose, "Log every step");
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? service::kDone : service::kUsage;
  }
  if (app.count("--root") == 0) options.root = options.host_root;
  return options;
}

std::variant<Options, int> ParseDriverManager(const std::vector<std::string>& words) {
  Options options{.verb = Verb::kUninstall, .all = true, .nvswitches = Switches::kNo};
  CLI::App app("Takes GPUs from the host's drivers, so that vfio-manage can bind them",
               "driver-manager");
  AddHostRoot(app, options, "/host");
  app.add_subcommand("uninstall_driver",
                     "Unbind GPUs from nvidia and nouveau; all others stay as they are");
  return Parse(app, options, words);
}

std::variant<Options, int> ParseVfioManager(const std::vector<std::string>& words) {
  Options options;
  CLI::App app("Binds NVIDIA GPUs to VFIO, for use in virtual machines", "vfio-manager");
  AddHostRoot(app, options, "/");
  CLI::App* bind = app.add_subcommand("bind", "Bind GPUs to the VFIO driver that fits them");
  AddDeviceOptions(*bind, options, "--bind-nvswitches");
  CLI::App* unbind = app.add_subcommand("unbind", "Take GPUs from VFIO; those in use stay");
  AddDeviceOptions(*unbind, options, "--unbind-nvswitches");
  AddChoice(
      *unbind, "--to", options.to, kTargets,
      "The driver they get: none, default (the earlier, else what the kernel chooses), nvidia");
  unbind->add_flag("--foreign", options.foreign, "Also GPUs that something else bound to VFIO");
  CLI::App* run = app.add_subcommand("run", "Bind GPUs, also those that appear later; stay");
  AddDeviceOptions(*run, options, "--bind-nvswitches");
  AddChoice(*run, "--on-exit", options.on_exit, kExits,
            "What becomes of the GPUs at the end: leave, unbind-idle, unbind-all (also those that "
            "something else bound); those in use always stay");
  run->add_option("--validation-files", options.validation_files,
                  "Keep workload-type and vfio-pci-ready in this directory")
      ->expected(0, 1)
      ->default_str("/run/nvidia/validations");
  for (CLI::App* verb : {bind, unbind}) {
    AddOnceOptions(*verb, options);
    verb->add_flag("--force", options.force,
                   "Also where it cannot be seen who uses the GPUs (no hostPID, no capabilities), "
                   "and where something is lost (memory of a GPU without its driver, the screen)");
  }
  for (CLI::App* verb : {bind, run}) {
    verb->add_flag("!--may-sleep", options.keep_awake, "Leave the GPUs' power settings alone");
    verb->add_flag("--console", options.console, "Also the GPU that has the machine's screen");
    AddChoice(*verb, "--backend", options.backend, kBackends,
              "What guests' memory is mapped with, and loaded for it: group, iommufd, or auto "
              "(groups, and iommufd only where there are none)");
  }
  auto parsed = Parse(app, options, words);
  if (auto* done = std::get_if<Options>(&parsed)) {
    done->verb = bind->parsed() ? Verb::kBind : unbind->parsed() ? Verb::kUnbind : Verb::kRun;
  }
  return parsed;
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  std::vector<std::string> words;
  const std::string called(argc > 0 ? argv[0] : "vfio-manage");
  // The last slash of a path; a whole command line as name has no directory in its arguments.
  std::istringstream name(called.substr(called.rfind('/') + 1));
  for (std::string word; name >> word;) words.push_back(word);
  words.insert(words.end(), argv + std::min(argc, 1), argv + argc);
  const bool is_driver_manager = !words.empty() && words[0] == "driver-manager";
  if (!words.empty()) words.erase(words.begin());
  return is_driver_manager ? ParseDriverManager(words) : ParseVfioManager(words);
}

}  // namespace gpuhost::vfio_manager
