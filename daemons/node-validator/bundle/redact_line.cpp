// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/redact_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <sstream>

#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/observe/host.h"
#include "daemons/node-validator/observe/runnable.h"

namespace gpuhost::node_validator {
namespace {

constexpr auto kKernelWords = std::to_array<std::string_view>({"iommu",
                                                               "iommu.passthrough",
                                                               "amd_iommu",
                                                               "intel_iommu",
                                                               "kvm_amd.sev",
                                                               "kvm_amd.sev_es",
                                                               "kvm_amd.sev_snp",
                                                               "kvm_intel.tdx",
                                                               "kvm.enable_virt_at_load",
                                                               "mem_encrypt",
                                                               "noiommu",
                                                               "ro",
                                                               "quiet",
                                                               "pcie_acs_override",
                                                               "modprobe.blacklist",
                                                               "vfio-pci.ids",
                                                               "hugepages",
                                                               "hugepagesz",
                                                               "lockdown",
                                                               "pci",
                                                               "cgroup_no_v1",
                                                               "nvrc.smi.srs",
                                                               "nvrc.mode",
                                                               "nvrc.log",
                                                               "agent.log",
                                                               "agent.debug_console",
                                                               "systemd.unified_cgroup_hierarchy",
                                                               "swiotlb"});
constexpr auto kOptions = std::to_array<std::string_view>(
    {"--config", "--config-dir", "--root-dir", "--feature-gates", "--runtime-request-timeout",
     "--cgroup-driver", "--container-runtime-endpoint", "-c", "-a", "--address"});
constexpr auto kSettings =
    std::to_array<std::string_view>({"KillMode", "Restart", "RestartSec", "Delegate", "Type",
                                     "LimitMEMLOCK", "TasksMax", "LimitNOFILE"});

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// A word whole where its name is known, else its name alone.
std::string CleanWord(const std::string& word, std::span<const std::string_view> known) {
  constexpr size_t kLongestName = 64;
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  if (Has(known, name)) return RedactText(word);
  const bool option = equals != std::string::npos || name.starts_with('-');
  if (!option || name.size() > kLongestName || LooksSecret(name)) return std::string(kRemoved);
  return equals == std::string::npos ? name : fmt::format("{}={}", name, kRemoved);
}

}  // namespace

std::string CleanKernelLine(std::string_view content) {
  std::string line;
  for (const std::string& word : SplitCommandLine(std::string(content))) {
    line += (line.empty() ? "" : " ") + CleanWord(word, kKernelWords);
  }
  return line;
}

std::string CleanProcessLine(const std::string& content) {
  std::string line;
  std::istringstream words(content);
  bool keep = true;  // the program's name, and values of known options
  for (std::string word; std::getline(words, word, '\0');) {
    line += (keep ? RedactText(word) : CleanWord(word, kOptions)) + '\0';
    keep = Has(kOptions, word);
  }
  return line;
}

std::string CleanUnit(const std::string& content) {
  std::string text;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) text += RedactText(line) + "\n";
    const size_t equals = line.find('=');
    const std::string name = line.substr(0, std::min(line.find_first_of(" \t="), equals));
    if (equals == std::string::npos) continue;
    if (Has(kSettings, name)) text += RedactText(line) + "\n";
    if (name != "ExecStart") continue;
    text += fmt::format("ExecStart={}\n", RedactText(ProgramOf(line.substr(equals + 1))));
  }
  return text;
}

}  // namespace gpuhost::node_validator
