// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/which_containerd.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr auto kPlaces = std::to_array<Place>({
    {"k3s", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
     "/run/k3s/containerd/containerd.sock", "k3s*.service", "k3s.service",
     "/var/lib/rancher/k3s/data/current/bin/containerd"},
    {"rke2", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
     "/run/k3s/containerd/containerd.sock", "rke2-*.service", "rke2-agent.service",
     "/var/lib/rancher/rke2/bin/containerd"},
    {"k0s", "/etc/k0s/containerd.toml", "/run/k0s/containerd.sock", "k0s*.service",
     "k0sworker.service", "/var/lib/k0s/bin/containerd"},
    {"microk8s", "/var/snap/microk8s/current/args/containerd.toml",
     "/var/snap/microk8s/common/run/containerd.sock", "snap.microk8s.*.service",
     "snap.microk8s.daemon-containerd.service", "/snap/microk8s/current/bin/containerd"},
    {"", "/etc/containerd/config.toml", "/run/containerd/containerd.sock", "*",
     "containerd.service", "/usr/bin/containerd"},
});

std::optional<std::string> ConfigOf(const Process& process) {
  const auto file = process.Option("config");
  return file ? file : process.Option("c");
}

Place PlaceOfUnit(const std::string& unit) {
  return *std::ranges::find_if(kPlaces, [&](const Place& place) {
    return ::fnmatch(place.unit.data(), unit.c_str(), 0) == 0;
  });
}

Place PlaceOf(const Tree& tree, const Which& which, const KubeletFacts& kubelet) {
  if (which.process) {
    const auto file = ConfigOf(*which.process);
    for (const Place& place : kPlaces) {
      if (file == std::string(place.main_file)) return place;
    }
    return file ? kPlaces.back() : PlaceOfUnit(which.process->unit);
  }
  const auto embedding = std::ranges::find_if(kPlaces, [&](const Place& place) {
    return !place.distribution.empty() && place.distribution == kubelet.distribution;
  });
  if (embedding != kPlaces.end()) return *embedding;
  if (!kubelet.unit.empty()) return PlaceOfUnit(kubelet.unit);
  for (const Place& place : kPlaces) {
    if (tree.Exists(place.main_file)) return place;
  }
  return kPlaces.back();
}

// Without the scheme, and without the old name of /run.
std::string Plain(std::string socket) {
  constexpr std::string_view kScheme = "unix://", kOld = "/var/run/";
  if (socket.starts_with(kScheme)) socket.erase(0, kScheme.size());
  return socket.starts_with(kOld) ? socket.substr(4) : socket;
}

// Where it listens, as its arguments and its main file say.
std::string SocketOf(const Tree& tree, const Process& process) {
  for (const char* name : {"a", "address"}) {
    if (const auto socket = process.Option(name)) return Plain(*socket);
  }
  const Place place = PlaceOfUnit(process.unit);
  const auto text = tree.Read(ConfigOf(process).value_or(std::string(place.main_file)));
  const auto file = text.ok() ? ParseToml(*text) : text.status();
  const auto socket = file.ok() ? file->Text({"grpc", "address"}) : std::nullopt;
  return Plain(socket.value_or(std::string(place.socket)));
}

std::string Names(const Processes& found) {
  std::string names;
  for (const auto* list : {&found.own, &found.elsewhere}) {
    for (const Process& process : *list) {
      names += (names.empty() ? "" : ", ") + ToString(process);
    }
  }
  return names;
}

// The process that listens on the kubelet's socket, as the kernel tells; 0 where it does not.
int ListenerOn(const Tree& tree, Questions& questions, const std::string& socket) {
  if (socket.empty() || !tree.Exists(socket)) return 0;
  const auto& answer = questions.Ask(Question::kSocketPeer, socket);
  return answer.ok() ? static_cast<int>(ParseDecimal(*answer, INT32_MAX).value_or(0)) : 0;
}

template <typename Condition>
bool Take(const std::vector<Process>& processes, Condition condition, Which& which) {
  const auto found = std::ranges::find_if(processes, condition);
  if (found != processes.end()) which.process = *found;
  return found != processes.end();
}

// Without a kubelet, one that nobody's service has started counts when it listens where containerd
// does by default.
bool ServesByDefault(const Tree& tree, Questions& questions, const Processes& found, Which& which) {
  const int listener = ListenerOn(tree, questions, std::string(kPlaces.back().socket));
  const auto listens = [&](const Process& process) { return process.pid == listener; };
  return found.own.empty() && Take(found.elsewhere, listens, which);
}

void Choose(const Tree& tree, Questions& questions, const KubeletFacts& kubelet,
            const std::string& socket, const Processes& found, Which& which) {
  const int listener = ListenerOn(tree, questions, socket);
  const auto listens = [&](const Process& process) { return process.pid == listener; };
  if (Take(found.own, listens, which) || Take(found.elsewhere, listens, which)) return;
  const auto beside = [&](const Process& process) {
    return !kubelet.unit.empty() && process.unit == kubelet.unit;
  };
  const auto configured = [&](const Process& process) {
    return !socket.empty() && SocketOf(tree, process) == socket;
  };
  if (Take(found.own, beside, which) || Take(found.own, configured, which)) return;
  if (found.own.size() == 1 && socket.empty()) {
    which.process = found.own.front();
    return;
  }
  if (socket.empty() && ServesByDefault(tree, questions, found, which)) return;
  which.known = found.complete;
  if (found.own.empty() && (found.elsewhere.empty() || listener != 0)) return;
  if (found.own.empty() && !socket.empty() && !tree.Exists(socket)) return;
  which.known = Error(absl::StatusCode::kFailedPrecondition,
                      "which containerd serves the kubelet cannot be told: {}{}", Names(found),
                      socket.empty() ? "" : "; the kubelet's socket is " + socket);
}

}  // namespace

Which WhichContainerd(const Tree& tree, Questions& questions, const KubeletFacts& kubelet) {
  Which which;
  const Processes found = FindProcesses(tree, "containerd");
  const Processes crio = FindProcesses(tree, "crio");
  const bool runs = kubelet.process || !kubelet.embedded_in.empty();
  std::string socket = Plain(kubelet.runtime_socket);
  if (runs && socket.empty()) socket = PlaceOf(tree, which, kubelet).socket;
  const bool told_crio = socket.ends_with("/crio.sock");
  if (!told_crio) Choose(tree, questions, kubelet, socket, found, which);
  which.crio = told_crio || (!which.process && !crio.own.empty());
  which.place = PlaceOf(tree, which, kubelet);
  return which;
}

}  // namespace gpuhost::node_validator
