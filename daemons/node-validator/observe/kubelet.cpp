// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kubelet.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// Distributions whose kubelet is a part of another process, and where it has its files.
struct Embedded {
  std::string_view process, root;
};
constexpr auto kEmbedded = std::to_array<Embedded>({
    {"k3s-server", "/var/lib/kubelet"},
    {"k3s-agent", "/var/lib/kubelet"},
    {"k3s", "/var/lib/kubelet"},
    {"kubelite", "/var/snap/microk8s/common/var/lib/kubelet"},
});

void AddFile(const Tree& tree, const std::string& path, KubeletFacts& kubelet) {
  const auto text = tree.Read(path);
  const auto value = text.ok() ? ParseYaml(*text) : text.status();
  if (!value.ok()) {
    kubelet.readable.Update(Annotate(value.status(), path));
    return;
  }
  Merge(kubelet.merged, *value, /*join_lists=*/false);
  kubelet.files.push_back(path);
  if (value->Find({"runtimeRequestTimeout"}) != nullptr) kubelet.timeout_from = path;
}

// Deprecated, and stronger than the files.
void AddFlags(const Process& process, KubeletFacts& kubelet) {
  Value flags{Value::Table()};
  Value::Table& table = *flags.AsTable();
  if (const auto timeout = process.Option("runtime-request-timeout")) {
    table["runtimeRequestTimeout"] = Value(*timeout);
    kubelet.timeout_from = "the kubelet's command line";
  }
  Value::Table gates;
  std::istringstream words(process.Option("feature-gates").value_or(""));
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = word.find('=');
    if (equals != std::string::npos) {
      gates[word.substr(0, equals)] = Value(word.substr(equals + 1) == "true");
    }
  }
  if (!gates.empty()) table["featureGates"] = Value(std::move(gates));
  if (const auto driver = process.Option("cgroup-driver")) table["cgroupDriver"] = Value(*driver);
  Merge(kubelet.merged, flags, /*join_lists=*/false);
}

Known<std::map<std::string, std::vector<std::string>>> ReadRegistered(const Tree& tree,
                                                                      const std::string& path) {
  GPUHOST_ASSIGN(const std::string text, tree.Read(path, 16u << 20));
  const auto value = ParseJson(text);
  if (!value.ok()) return Annotate(value.status(), path);
  std::map<std::string, std::vector<std::string>> registered;
  for (const auto& [resource, ids] : value->TableAt({"Data", "RegisteredDevices"})) {
    registered[resource] = value->Texts({"Data", "RegisteredDevices", resource});
  }
  return registered;
}

void FindProcess(const Tree& tree, KubeletFacts& kubelet) {
  const auto processes = FindProcesses(tree, "kubelet");
  if (!processes.empty()) {
    kubelet.process = processes.front();
    return;
  }
  for (const Embedded& one : kEmbedded) {
    if (FindProcesses(tree, one.process).empty()) continue;
    kubelet.embedded_in = one.process;
    kubelet.root = one.root;
    return;
  }
}

}  // namespace

std::optional<double> ParseGoDuration(std::string_view text) {
  if (text == "0") return 0;
  double seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const size_t digits = text.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos || digits > 12) return std::nullopt;
    const double number = std::strtod(std::string(text.substr(0, digits)).c_str(), nullptr);
    text.remove_prefix(digits);
    const size_t letters = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view unit = text.substr(0, letters);
    text.remove_prefix(letters);
    if (unit == "h")
      seconds += number * 3600;
    else if (unit == "m")
      seconds += number * 60;
    else if (unit == "s")
      seconds += number;
    else if (unit == "ms")
      seconds += number / 1e3;
    else if (unit == "us" || unit == "µs")
      seconds += number / 1e6;
    else if (unit == "ns")
      seconds += number / 1e9;
    else
      return std::nullopt;
  }
  return seconds;
}

KubeletFacts ObserveKubelet(const Tree& tree, Questions& questions) {
  KubeletFacts kubelet;
  kubelet.root = "/var/lib/kubelet";
  kubelet.merged = Value(Value::Table());
  FindProcess(tree, kubelet);
  const Process none;
  const Process& process = kubelet.process ? *kubelet.process : none;
  if (const auto root = process.Option("root-dir")) kubelet.root = *root;
  kubelet.config = process.Option("config").value_or(kubelet.root + "/config.yaml");
  AddFile(tree, kubelet.config, kubelet);
  if (const auto directory = process.Option("config-dir")) {
    for (const auto& name : tree.List(*directory).value_or(std::vector<std::string>())) {
      if (name.ends_with(".conf")) AddFile(tree, *directory + "/" + name, kubelet);
    }
  }
  AddFlags(process, kubelet);
  if (process.program.starts_with('/')) {
    kubelet.version = FindVersion(questions.Ask(Question::kVersion, process.program).value_or(""));
  }
  kubelet.socket = kubelet.root + "/pod-resources/kubelet.sock";
  const auto socket = tree.Look(kubelet.socket);
  kubelet.socket_there = socket.ok() && socket->kind == Kind::kSocket;
  if (kubelet.socket_there) {
    kubelet.pod_resources_get = questions.Ask(Question::kPodResourcesGet, kubelet.socket);
  }
  kubelet.registered =
      ReadRegistered(tree, kubelet.root + "/device-plugins/kubelet_internal_checkpoint");
  return kubelet;
}

}  // namespace gpuhost::node_validator
