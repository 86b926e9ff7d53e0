// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/host.h"

#include <algorithm>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

std::string After(const std::string& line, char mark) {
  const size_t start = line.find(mark);
  if (start == std::string::npos) return "";
  const size_t first = line.find_first_not_of(" \t\"", start + 1);
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(" \t\"\r") + 1 - first);
}

Known<Processor> ReadProcessor(const Tree& tree) {
  // Large machines have a megabyte of it; the first processor is at its beginning.
  GPUHOST_ASSIGN(const std::string text, tree.Read("/proc/cpuinfo", 16u << 20));
  Processor processor;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    if (line.starts_with("vendor_id")) processor.vendor = After(line, ':');
    if (line.starts_with("model name")) processor.model = After(line, ':');
    if (!line.starts_with("flags")) continue;
    std::istringstream flags(After(line, ':'));
    for (std::string flag; flags >> flag;) processor.flags.insert(flag);
  }
  return processor;
}

std::string ReadOs(const Tree& tree) {
  std::istringstream lines(tree.Read("/etc/os-release").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("PRETTY_NAME=")) return After(line, '=');
  }
  return "";
}

std::set<std::string> ReadModules(const Tree& tree, const std::string& release) {
  std::set<std::string> modules;
  std::istringstream loaded(tree.Read("/proc/modules").value_or(""));
  for (std::string line; std::getline(loaded, line);) {
    modules.insert(line.substr(0, line.find(' ')));
  }
  const std::string path = fmt::format("/lib/modules/{}/modules.builtin", release);
  std::istringstream builtin(tree.Read(path).value_or(""));
  for (std::string line; std::getline(builtin, line);) {
    std::string name = line.substr(line.rfind('/') + 1);
    name = name.substr(0, name.find(".ko"));
    std::ranges::replace(name, '-', '_');
    modules.insert(name);
  }
  for (const char* name : {"kvm", "kvm_amd", "kvm_intel", "vfio", "vfio_pci", "vfio_pci_core",
                           "vfio_iommu_type1", "iommufd", "vhost_net", "vhost_vsock"}) {
    if (tree.Exists(fmt::format("/sys/module/{}", name))) modules.insert(name);
  }
  return modules;
}

std::set<std::string> ReadLoadable(const Tree& tree, const std::string& release) {
  std::set<std::string> loadable;
  const auto names = tree.List(fmt::format("/lib/modules/{}/kernel/drivers/vhost", release));
  for (std::string name : names.value_or(std::vector<std::string>())) {
    loadable.insert("vhost_" + name.substr(0, name.find(".ko")));
    name = name.substr(0, name.find(".ko"));
    std::ranges::replace(name, '-', '_');
    loadable.insert(name);
  }
  return loadable;
}

std::map<std::string, std::string> ReadConfig(const Tree& tree, const std::string& release) {
  std::map<std::string, std::string> config;
  std::istringstream lines(tree.Read(fmt::format("/boot/config-{}", release)).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (!line.starts_with("CONFIG_") || equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    for (const char* wanted :
         {"CONFIG_IOMMUFD", "CONFIG_VFIO_DEVICE_CDEV", "CONFIG_IOMMU_DEFAULT_PASSTHROUGH",
          "CONFIG_KVM_AMD_SEV", "CONFIG_INTEL_TDX_HOST"}) {
      if (name == wanted) config[name] = line.substr(equals + 1);
    }
  }
  return config;
}

std::optional<uint64_t> MemoryLine(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    std::istringstream words(line.substr(name.size() + 1));
    std::string number;
    words >> number;
    return ParseDecimal(number, UINT64_MAX >> 10);
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> SplitCommandLine(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == ' ' || c == '\n' || c == '\t')) {
      if (!word.empty()) words.push_back(std::exchange(word, ""));
    } else if (c != '"') {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

DeviceNode LookAtDevice(const Tree& tree, Questions* questions, const std::string& path) {
  DeviceNode node;
  const auto entry = tree.Look(path);
  if (!entry.ok()) {
    node.present = entry.status();
  } else if (entry->kind != Kind::kCharacterDevice) {
    node.present = Error(absl::StatusCode::kFailedPrecondition,
                         "{} is a {}, not a character device", path, ToString(entry->kind));
  } else if (questions != nullptr) {
    node.opens = questions->Ask(Question::kOpens, path);
  }
  return node;
}

Host ObserveHost(const Tree& tree, Questions& questions) {
  Host host;
  host.processor = ReadProcessor(tree);
  host.os = ReadOs(tree);
  host.release = tree.ReadLine("/proc/sys/kernel/osrelease").value_or("");
  host.command_line = SplitCommandLine(tree.Read("/proc/cmdline").value_or(""));
  host.kernel_log = questions.Ask(Question::kKernelLog);
  host.modules = ReadModules(tree, host.release);
  host.loadable = ReadLoadable(tree, host.release);
  host.config = ReadConfig(tree, host.release);
  host.passthrough_by_default = host.config["CONFIG_IOMMU_DEFAULT_PASSTHROUGH"] == "y";
  host.superuser = questions.Ask(Question::kSuperuser).value_or("yes") != "no";
  host.kvm = LookAtDevice(tree, &questions, "/dev/kvm");
  host.vhost_net = LookAtDevice(tree, nullptr, "/dev/vhost-net");
  host.vhost_vsock = LookAtDevice(tree, nullptr, "/dev/vhost-vsock");
  if (host.kvm.present.ok()) host.kvm_version = questions.Ask(Question::kKvmVersion);
  const std::string memory = tree.Read("/proc/meminfo").value_or("");
  if (const auto kib = MemoryLine(memory, "MemAvailable")) host.memory_free = *kib << 10;
  if (const auto pages = MemoryLine(memory, "HugePages_Free")) {
    host.huge_pages_free = *pages * (MemoryLine(memory, "Hugepagesize").value_or(2048) << 10);
  }
  host.transparent_huge_pages =
      tree.ReadLine("/sys/kernel/mm/transparent_hugepage/enabled").value_or("");
  return host;
}

}  // namespace gpuhost::node_validator
