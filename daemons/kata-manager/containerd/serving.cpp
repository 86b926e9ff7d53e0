// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/serving.h"

#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemons/common/node/process.h"
#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/containerd/unit_file.h"
#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr const char* kDefaultMain = "/etc/containerd/config.toml";  // built into containerd
// MicroK8s makes it from the template at each start, and names it by the snap's revision.
constexpr const char* kMicroK8sMain = "/var/snap/microk8s/*/args/containerd.toml";

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool IsBundled(const std::string& flavor) {
  return flavor == "k3s" || flavor == "rke2" || flavor == "k0s";
}

// /var/run is a link to /run on every host that is meant here.
std::string SocketPath(std::string address) {
  for (const std::string_view scheme : {"unix://", "unix:"}) {
    if (address.starts_with(scheme)) address.erase(0, scheme.size());
  }
  return address.starts_with("/var/run/") ? address.substr(4) : address;
}

absl::Status Differ(std::string_view what, const std::string& one, const std::string& other,
                    std::string_view remedy) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "which {} is meant is not clear: {}, and {}; {}. Nothing is changed before that",
               what, one, other, remedy);
}

std::vector<node::Process> InUnits(const std::vector<node::Process>& processes,
                                   const std::vector<std::string>& units) {
  std::vector<node::Process> found;
  for (const node::Process& process : processes) {
    if (std::ranges::find(units, process.unit) != units.end()) found.push_back(process);
  }
  return found;
}

// By what runs; empty: none of them that is known.
absl::StatusOr<std::string> RunningFlavor(const HostFs& fs,
                                          const std::vector<node::Process>& processes) {
  std::map<std::string, node::Process> found;  // by flavor
  for (const char* flavor : {"k3s", "rke2", "k0s", "microk8s", "plain"}) {
    GPUHOST_ASSIGN(const Location where, Locate(fs, {.flavor = flavor}));
    const auto its = InUnits(processes, where.units);
    if (!its.empty()) found.emplace(flavor, its.front());
  }
  // Beside a Kubernetes in one piece the distribution's containerd is another program's, as
  // Docker's.
  if (found.size() > 1) found.erase("plain");
  if (found.empty()) return std::string();
  if (found.size() == 1) return found.begin()->first;
  const auto tell = [](const auto& entry) {
    return fmt::format("process {} of {} runs", entry.second.pid, entry.second.unit);
  };
  return Differ("containerd", tell(*found.begin()), tell(*found.rbegin()),
                "say it by containerd.flavor");
}

// Where none of them runs, what is installed decides, and must be one.
absl::Status CheckOneInstalled(const HostFs& fs) {
  std::vector<std::string> there;
  for (const char* path :
       {"/var/lib/rancher/k3s/agent/etc/containerd", "/var/lib/rancher/rke2/agent/etc/containerd",
        "/etc/k0s/containerd.toml", "/var/snap/microk8s/current/args"}) {
    if (fs.Exists(path)) there.emplace_back(path);
  }
  if (there.size() < 2) return absl::OkStatus();
  return Differ("containerd", "none runs, and there is " + there[0], "there is " + there[1],
                "say it by containerd.flavor");
}

// The unit that runs, or would start it.
struct Start {
  std::string name;
  Unit unit;
};
std::optional<Start> StartOf(const HostFs& host, Services& services, const Location& where) {
  std::optional<Start> first;
  for (const std::string& name : where.units) {
    const auto unit = services.Look(name);
    if (absl::IsUnavailable(unit.status()) && !first) {
      const auto command = CommandInUnitFile(host, name);
      if (!command.empty()) first = Start{name, {.main_pid = 0, .command = command}};
    }
    if (!unit.ok()) continue;
    if (unit->active) return Start{name, *unit};
    if (!first) first = Start{name, *unit};
  }
  return first;
}

// The containerd in the cgroup of the units, or else the one that answers at the socket, started by
// hand.
std::optional<node::Process> ProcessOf(const HostFs& host, const Location& where,
                                       const std::vector<node::Process>& own,
                                       const std::optional<Start>& start) {
  const auto its = InUnits(own, where.units);
  for (const node::Process& process : its) {
    if (start && process.pid == start->unit.main_pid) return process;
  }
  if (!its.empty()) return its.front();
  const auto peer = node::PeerProcess(host, where.socket);
  if (!peer.ok() || BaseName(peer->exe) != "containerd") return std::nullopt;
  return *peer;
}

bool IsUnresolved(const std::string& word) { return word.find('$') != std::string::npos; }

// What starts containerd itself: not a wrapper of a snap, and not what has it as a child.
std::vector<std::string> CommandOf(const Location& where, const std::optional<Start>& start) {
  if (!start || IsBundled(where.flavor) || start->unit.command.empty()) return {};
  return BaseName(start->unit.command[0]) == "containerd" ? start->unit.command
                                                          : std::vector<std::string>();
}

// The main file as containerd sees it; empty: nobody tells.
absl::StatusOr<std::string> MainOf(const std::optional<node::Process>& process,
                                   const std::vector<std::string>& command,
                                   const std::optional<Start>& start, bool told) {
  const auto in = [](const std::vector<std::string>& words) {
    return OptionIn(words, {"c", "config"}).value_or(kDefaultMain);
  };
  const std::string would = command.empty() ? "" : in(command);
  const std::string runs = process ? in(process->arguments) : "";
  if (!process && IsUnresolved(would)) {
    if (told) return std::string();
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} starts containerd with --config {}, whose variable is not known; start it, or "
                 "give --containerd-config",
                 start->name, would);
  }
  const std::string main = process ? runs : would;
  if (!main.empty() && !main.starts_with('/')) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "containerd has the configuration '{}', which is no absolute path; give its unit "
                 "one",
                 main);
  }
  if (process && !would.empty() && !IsUnresolved(would) && would != runs) {
    return Differ("file of containerd", fmt::format("process {} runs with {}", process->pid, runs),
                  fmt::format("{} would start it with {}", start->name, would),
                  "restart it, or mend the unit");
  }
  return main;
}

bool IsSameFile(const HostFs& fs, const std::string& one, const HostFs& other_fs,
                const std::string& other) {
  struct stat a {
  }, b{};
  return ::stat(fs.Resolve(one).c_str(), &a) == 0 &&
         ::stat(other_fs.Resolve(other).c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

// `where` with this main file.
absl::StatusOr<Location> With(const HostFs& fs, Location where, Hints hints,
                              const std::string& main) {
  const std::string seen = SeenOf(where, where.main);
  const bool generated =
      where.flavor == "microk8s" && ::fnmatch(kMicroK8sMain, main.c_str(), FNM_PATHNAME) == 0;
  if (main.empty() || main == seen || generated || IsSameFile(fs, seen, fs, main)) return where;
  if (!hints.main.empty()) {
    return Differ("file of containerd", "it runs, or would be started, with " + main,
                  "--containerd-config says " + seen, "mend one of them");
  }
  if (IsBundled(where.flavor)) {  // another directory for its data
    const auto directory = [](const std::string& path) { return path.substr(0, path.rfind('/')); };
    if (where.file.starts_with(directory(where.main) + "/")) {
      where.file = directory(main) + where.file.substr(directory(where.main).size());
    }
    where.main = main;
    where.directory = directory(main);
    return where;
  }
  hints.main = main;
  hints.flavor = where.flavor;
  return Locate(fs, hints);
}

// What is below /usr is the distribution's, and comes anew with its updates. Where such a main file
// imports a directory that is the administrator's, ours goes there.
void KeepOutOfUsr(const HostFs& fs, Location& where) {
  if (!where.editable || !where.main.starts_with("/usr/")) return;
  where.editable = false;
  where.why_not = fmt::format(
      "{} belongs to the distribution; copy it to {}, and have the unit start containerd with "
      "--config {} (systemctl edit {}), or import {} in it",
      where.main, kDefaultMain, kDefaultMain, where.units.front(), where.file);
  const auto main = ReadMainFile(where.main, fs.Read(where.main).value_or(""));
  if (!main.ok()) return;
  for (const Import& import : main->imports) {
    const size_t slash = import.value.rfind('/');
    if (!import.value.starts_with('/') || import.value.starts_with("/usr/")) continue;
    if (import.value.substr(slash) != "/*.toml") continue;
    where.file = import.value.substr(0, slash) + where.file.substr(where.file.rfind('/'));
  }
}

// A program that only root can replace. Those of a test are its own.
bool IsSafe(const HostFs& host, const std::string& path) {
  struct stat found {};
  return ::stat(host.Resolve(path).c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
         (found.st_mode & 0022) == 0 && (found.st_uid == 0 || found.st_uid == ::geteuid());
}

// The program is one that systemd or the distribution names, and the kernel says that it is the one
// which runs. After an upgrade it cannot say that any more; versions are compared in any case.
void PinProgram(const HostFs& host, const std::optional<node::Process>& process,
                const std::vector<std::string>& command, Location& where) {
  std::vector<std::string> candidates = where.programs;
  if (!command.empty()) candidates.insert(candidates.begin(), command[0]);
  std::erase_if(candidates, [&](const std::string& path) { return !IsSafe(host, path); });
  if (candidates.empty()) return;
  if (process && !process->replaced && !process->exe.empty()) {
    const std::string exe = fmt::format("/proc/{}/exe", process->pid);
    const auto same = std::ranges::find_if(
        candidates, [&](const std::string& path) { return IsSameFile(host, exe, host, path); });
    if (same == candidates.end()) {
      where.program_problem = Differ(
          "program of containerd", fmt::format("process {} runs {}", process->pid, process->exe),
          fmt::format("what could be asked is {}", fmt::join(candidates, ", ")),
          "have the unit's ExecStart name the program that runs, and restart it");
      return;
    }
    candidates = {*same};
  }
  where.program_was_replaced = process && process->replaced;
  where.programs = {candidates.front()};
}

// The endpoint of this kubelet; empty: it has the default of its flavor, or does not tell.
std::string EndpointOf(const HostFs& host, const node::Process& kubelet) {
  const auto option = [&](std::string_view name) {
    std::string value;
    for (size_t i = 1; i < kubelet.arguments.size(); ++i) {
      const std::string& word = kubelet.arguments[i];
      if (word == name && i + 1 < kubelet.arguments.size()) value = kubelet.arguments[i + 1];
      if (word.starts_with(fmt::format("{}=", name))) value = word.substr(name.size() + 1);
    }
    return value;
  };
  const std::string told = option("--container-runtime-endpoint"), file = option("--config");
  if (!told.empty() || !file.starts_with('/')) return told;
  return TextAt(host.Read(file).value_or(""), "containerRuntimeEndpoint");
}

absl::Status CheckKubelet(const HostFs& host, const Location& where) {
  if (where.flavor != "plain") return absl::OkStatus();  // theirs is in one piece with it
  for (const node::Process& kubelet : node::OwnProcesses(host, "kubelet").own) {
    const std::string endpoint = EndpointOf(host, kubelet);
    if (endpoint.empty() || SocketPath(endpoint) == SocketPath(where.socket)) continue;
    return Differ("container runtime",
                  fmt::format("the kubelet, process {}, uses {}", kubelet.pid, endpoint),
                  "containerd listens at " + where.socket,
                  "give --containerd-socket and --containerd-config of the one that it uses");
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<std::string> OptionIn(const std::vector<std::string>& command,
                                    const std::vector<std::string>& names) {
  static const std::set<std::string> kWithValue = {"c", "config",  "l",    "log-level",
                                                   "a", "address", "root", "state"};
  std::optional<std::string> found;
  for (size_t i = 1; i < command.size() && command[i].starts_with('-'); ++i) {
    std::string name = command[i].substr(command[i].starts_with("--") ? 2 : 1), value;
    const size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (kWithValue.contains(name) && i + 1 < command.size()) {
      value = command[++i];
    }
    if (std::ranges::find(names, name) != names.end()) found = value;
  }
  return found;
}

absl::StatusOr<Location> FindServing(const Node& node, const Hints& hints) {
  const node::Processes found = node::OwnProcesses(node.host, "containerd");
  Hints known = hints;
  if (hints.flavor == "auto" && hints.main.empty()) {
    GPUHOST_ASSIGN(const std::string flavor, RunningFlavor(node.fs, found.own));
    if (!flavor.empty()) known.flavor = flavor;
    if (flavor.empty()) GPUHOST_TRY(CheckOneInstalled(node.fs));
  }
  GPUHOST_ASSIGN(Location where, Locate(node.fs, known));
  const auto start = StartOf(node.host, node.services, where);
  const auto process = ProcessOf(node.host, where, found.own, start);
  const std::vector<std::string> command = CommandOf(where, start);
  if (!process && start && start->unit.active && command.empty() && hints.main.empty() &&
      !found.complete.ok()) {
    return Annotate(found.complete,
                    fmt::format("which file containerd of {} has is not known; give "
                                "--containerd-config",
                                start->name));
  }
  GPUHOST_ASSIGN(const std::string main, MainOf(process, command, start, !hints.main.empty()));
  GPUHOST_ASSIGN(where, With(node.fs, std::move(where), known, main));
  KeepOutOfUsr(node.fs, where);
  const auto address = OptionIn(process ? process->arguments : command, {"a", "address"});
  if (address && address->starts_with('/') && !hints.socket.empty() &&
      SocketPath(*address) != SocketPath(hints.socket)) {
    return Differ("socket of containerd", "it listens at " + *address,
                  "--containerd-socket says " + hints.socket, "mend one of them");
  }
  if (address && address->starts_with('/')) where.socket = *address;
  PinProgram(node.host, process, command, where);
  GPUHOST_TRY(CheckKubelet(node.host, where));
  return where;
}

}  // namespace gpuhost::kata_manager::containerd
