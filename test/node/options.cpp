// SPDX-License-Identifier: Apache-2.0
#include "test/node/options.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node {
namespace {

constexpr int kUsage = 2;
constexpr int kMaxDevices = 16;

// "1:dead" is fault dead of the second GPU.
std::pair<size_t, vgpu::Fault> ParseFaultOption(const std::string& text, int gpus) {
  const size_t colon = text.find(':');
  const auto index = ParseDecimal(text.substr(0, colon), 1000);
  if (colon == std::string::npos || !index) {
    throw CLI::ValidationError("--fault", "write it like 0:rpc-silent");
  }
  if (*index >= static_cast<uint64_t>(gpus)) {
    throw CLI::ValidationError("--fault", fmt::format("there is no GPU {}, only {}", *index, gpus));
  }
  const auto fault = vgpu::ParseFault(text.substr(colon + 1));
  if (!fault.ok()) throw CLI::ValidationError("--fault", Text(fault.status()));
  return {*index, *fault};
}

void Check(Options& options, const std::string& models, const std::vector<std::string>& faults) {
  std::istringstream names(models);
  for (std::string model; std::getline(names, model, ',');) {
    options.boards.push_back(vgpu::FindBoard(model));
    if (options.boards.back() != nullptr) continue;
    throw CLI::ValidationError("--model", fmt::format("'{}' is no model; there are {}", model,
                                                      fmt::join(vgpu::BoardNames(), " ")));
  }
  if (options.boards.empty()) throw CLI::ValidationError("--model", "give one");
  if (options.gpus + options.nvswitches > kMaxDevices) {
    throw CLI::ValidationError("--gpus", fmt::format("at most {} devices", kMaxDevices));
  }
  for (const std::string& fault : faults) {
    options.faults.push_back(ParseFaultOption(fault, options.gpus));
  }
  for (const std::string& file : {options.kernel, options.initramfs}) {
    if (::access(file.c_str(), R_OK) != 0) {
      throw CLI::ValidationError("--kernel", file + " is not there; ./dev node finds one itself");
    }
  }
  if (options.command.empty() && !options.shell) {
    throw CLI::ValidationError("COMMAND", "give a command after --, or --shell");
  }
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  std::string models = "h100-pcie";
  std::vector<std::string> faults;
  int boot_ms = 1500, seconds = 600;
  CLI::App app("Boots a virtual GPU host and runs a command in it", "virtual-node");
  app.add_option("--kernel", options.kernel, "Kernel image (./dev node: debian or iommufd)")
      ->required();
  app.add_option("--initramfs", options.initramfs, "Made by initramfs.sh")->required();
  app.add_option("--gpus", options.gpus, "How many GPUs")->check(CLI::Range(0, kMaxDevices));
  app.add_option("--model", models,
                 fmt::format("One of {}; A,B: the first GPU is an A, the others are B",
                             fmt::join(vgpu::BoardNames(), " ")));
  app.add_option("--nvswitches", options.nvswitches, "How many NVSwitches")
      ->check(CLI::Range(0, kMaxDevices));
  app.add_option("--boot-ms", boot_ms, "How long firmware boots after a reset")
      ->check(CLI::Range(0, 600000));
  app.add_option("--fault", faults, "GPU:NAME, a fault of one GPU; may be given several times")
      ->expected(1)
      ->take_all();
  app.add_flag("--forbid-bar-writes", options.forbid_bar_writes,
               "Fail if anything writes to a GPU's registers");
  app.add_flag("!--no-iommu", options.iommu, "A machine whose IOMMU is switched off");
  app.add_flag("--foreign-member", options.foreign_member,
               "The first GPU shares its IOMMU group with a device of another vendor");
  app.add_flag("--paired", options.paired,
               "The first two GPUs share a slot, and so an IOMMU group");
  app.add_flag("--network", options.network,
               "The node reaches what this machine reaches (addresses, not names)");
  app.add_option("--memory", options.memory_mib, "MiB")->check(CLI::Range(256, 65536));
  app.add_option("--timeout", seconds, "Seconds until the node is given up")
      ->check(CLI::Range(1, 86400));
  app.add_option("--path", options.path, "Directory to put in front of PATH")
      ->expected(1)
      ->take_all();
  app.add_flag("--shell", options.shell,
               "A console in the node, after the command if there is one");
  app.add_flag("--verbose", options.verbose, "Show the node's kernel messages");
  app.add_option("COMMAND", options.command, "What to run in the node");
  app.positionals_at_end();
  try {
    app.parse(argc, argv);
    options.boot_time = std::chrono::milliseconds(boot_ms);
    options.limit = std::chrono::seconds(seconds);
    Check(options, models, faults);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return options;
}

}  // namespace gpuhost::node
