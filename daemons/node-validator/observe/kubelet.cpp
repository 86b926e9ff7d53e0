// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kubelet.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "daemons/node-validator/observe/real_path.h"
#include "daemons/node-validator/observe/runnable.h"
#include "daemons/node-validator/observe/unit.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// Distributions whose kubelet is a part of another process, and where it has its files.
struct Embedded {
  std::string_view process, distribution, root;
};
constexpr auto kEmbedded = std::to_array<Embedded>({
    {"k3s-server", "k3s", "/var/lib/kubelet"},
    {"k3s-agent", "k3s", "/var/lib/kubelet"},
    {"k3s", "k3s", "/var/lib/kubelet"},
    {"kubelite", "microk8s", "/var/snap/microk8s/common/var/lib/kubelet"},
});

// Where packages and distributions put it.
constexpr auto kPrograms =
    std::to_array<const char*>({"/usr/bin/kubelet", "/usr/local/bin/kubelet", "/opt/bin/kubelet",
                                "/var/lib/k0s/bin/kubelet", "/var/lib/rancher/rke2/bin/kubelet"});
constexpr std::string_view kRoot = "/var/lib/kubelet";

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
  if (const auto socket = process.Option("container-runtime-endpoint")) {
    table["containerRuntimeEndpoint"] = Value(*socket);
  }
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

// One that root has started by hand or by a service of another name is the node's kubelet when it
// listens on the kubelet's socket.
bool Serves(const Tree& tree, Questions& questions, const Process& process) {
  const std::string socket =
      process.Option("root-dir").value_or(std::string(kRoot)) + "/pod-resources/kubelet.sock";
  if (!tree.Exists(socket)) return false;
  const auto& peer = questions.Ask(Question::kSocketPeer, socket);
  return peer.ok() && *peer == fmt::format("{}", process.pid);
}

void FindProcess(const Tree& tree, Questions& questions, KubeletFacts& kubelet) {
  const Processes found = FindProcesses(tree, "kubelet");
  if (!found.own.empty()) kubelet.process = found.own.front();
  for (const Process& process : found.elsewhere) {
    if (!kubelet.process && Serves(tree, questions, process)) kubelet.process = process;
  }
  if (kubelet.process) {
    kubelet.unit = kubelet.process->unit;
    return;
  }
  kubelet.known = found.complete;
  if (!found.elsewhere.empty()) {
    kubelet.known.Update(
        Error(absl::StatusCode::kFailedPrecondition,
              "root runs a kubelet as {}, and whether it is this node's cannot be told; run it as "
              "kubelet.service",
              ToString(found.elsewhere.front())));
  }
  for (const Embedded& one : kEmbedded) {
    const Processes with = FindProcesses(tree, one.process);
    kubelet.known.Update(with.complete);
    if (with.own.empty()) continue;
    kubelet.known = absl::OkStatus();
    kubelet.embedded_in = one.process;
    kubelet.distribution = one.distribution;
    kubelet.unit = with.own.front().unit;
    kubelet.root = one.root;
    kubelet.runtime_socket = with.own.front().Option("container-runtime-endpoint").value_or("");
    return;
  }
}

// Its program's, where that is the one that runs.
Version VersionOf(const Tree& tree, Questions& questions, const KubeletFacts& kubelet) {
  if (!kubelet.process) return {};
  const std::string unit = kubelet.unit.empty() ? "kubelet.service" : kubelet.unit;
  std::vector<std::string> places{ProgramOf(ReadUnit(tree, unit).settings["ExecStart"])};
  places.insert(places.end(), kPrograms.begin(), kPrograms.end());
  std::string program = RunnableProgram(tree, places, kubelet.process);
  // A bundle of before processes were proved; there is nothing that could be run.
  if (program.empty() && tree.captured()) program = kubelet.process->program;
  if (program.empty()) return {};
  return FindVersion(questions.Ask(Question::kVersion, program).value_or(""));
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
  kubelet.root = kRoot;
  kubelet.merged = Value(Value::Table());
  FindProcess(tree, questions, kubelet);
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
  if (const auto told = kubelet.merged.Text({"containerRuntimeEndpoint"})) {
    kubelet.runtime_socket = *told;
  }
  kubelet.version = VersionOf(tree, questions, kubelet);
  kubelet.socket = kubelet.root + "/pod-resources/kubelet.sock";
  kubelet.real_socket = RealPath(tree, kubelet.socket);
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
