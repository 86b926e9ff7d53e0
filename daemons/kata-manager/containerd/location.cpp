// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/location.h"

#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr const char* kFileName = "gpuhost-kata.toml";

Location Plain() {
  return {.flavor = "plain",
          .main = "/etc/containerd/config.toml",
          .units = {"containerd.service"},
          .socket = "/run/containerd/containerd.sock",
          .programs = {"/usr/bin/containerd", "/usr/local/bin/containerd", "/usr/sbin/containerd"}};
}

// k3s and rke2 generate the main file at every start, and import a directory from it if their
// template says so; which one depends on the schema of the file.
Location Rancher(const HostFs& fs, const std::string& name) {
  const std::string base = fmt::format("/var/lib/rancher/{}/agent/etc/containerd", name);
  const bool v3 =
      fs.Read(base + "/config.toml").value_or("").find("config-v3.toml.d") != std::string::npos;
  Location location{
      .flavor = name,
      .main = base + "/config.toml",
      .editable = false,
      .file = fmt::format("{}/{}/{}", base, v3 ? "config-v3.toml.d" : "config.toml.d", kFileName),
      .restart_is_safe = false,
      .socket = "/run/k3s/containerd/containerd.sock"};
  if (name == "k3s") {
    location.units = {"k3s.service", "k3s-agent.service"};
    location.programs = {"/var/lib/rancher/k3s/data/current/bin/containerd"};
  } else {
    location.units = {"rke2-server.service", "rke2-agent.service"};
    location.programs = {"/var/lib/rancher/rke2/bin/containerd"};
  }
  return location;
}

Location K0s() {
  return {.flavor = "k0s",
          .main = "/etc/k0s/containerd.toml",
          .editable = false,
          .file = fmt::format("/etc/k0s/containerd.d/{}", kFileName),
          .merged = "/run/k0s/containerd-cri.toml",
          .units = {"k0sworker.service", "k0scontroller.service"},
          .restart_is_safe = false,
          .socket = "/run/k0s/containerd.sock",
          .programs = {"/var/lib/k0s/bin/containerd"}};
}

Location MicroK8s() {
  const std::string base = "/var/snap/microk8s/current/args";
  return {.flavor = "microk8s",
          .main = base + "/containerd-template.toml",
          .units = {"snap.microk8s.daemon-containerd.service"},
          .socket = "/var/snap/microk8s/common/run/containerd.sock",
          .programs = {"/snap/microk8s/current/bin/containerd"}};
}

std::string Flavor(const HostFs& fs, const Hints& hints) {
  if (hints.flavor != "auto") return hints.flavor;
  if (!hints.main.empty()) return "plain";
  if (fs.Exists("/var/lib/rancher/k3s/agent/etc/containerd")) return "k3s";
  if (fs.Exists("/var/lib/rancher/rke2/agent/etc/containerd")) return "rke2";
  if (fs.Exists("/etc/k0s/containerd.toml")) return "k0s";
  if (fs.Exists("/var/snap/microk8s/current/args")) return "microk8s";
  return "plain";
}

// Where the main file has containerd listen; empty: it does not say. That the file is no TOML is
// for others to tell.
std::string AddressIn(const HostFs& fs, const std::string& main) {
  const auto text = fs.Read(main);
  const Flat keys = text.ok() ? Flatten(main, *text).value_or(Flat()) : Flat();
  const auto address = keys.find("grpc.address");
  if (address == keys.end() || address->second.size() < 2) return "";
  const std::string path = address->second.substr(1, address->second.size() - 2);  // of its quotes
  return path.starts_with('/') ? path : "";
}

}  // namespace

bool IsCrio(const Location& where) { return where.flavor == "crio"; }

std::string RuntimeName(const Location& where) { return IsCrio(where) ? "CRI-O" : "containerd"; }

bool IsBeside(const Location& where, const std::string& seen) {
  return seen == where.directory || seen.starts_with(where.directory + "/");
}

std::string HereOf(const Location& where, const std::string& seen) {
  const std::string here = where.main.substr(0, where.main.rfind('/'));
  return IsBeside(where, seen) ? here + seen.substr(where.directory.size()) : seen;
}

std::string SeenOf(const Location& where, const std::string& here) {
  const std::string directory = where.main.substr(0, where.main.rfind('/'));
  if (!here.starts_with(directory + "/")) return here;
  return where.directory + here.substr(directory.size());
}

absl::StatusOr<Location> Locate(const HostFs& fs, const Hints& hints) {
  const std::string flavor = Flavor(fs, hints);
  Location location;
  if (flavor == "plain") {
    location = Plain();
  } else if (flavor == "k3s" || flavor == "rke2") {
    location = Rancher(fs, flavor);
  } else if (flavor == "k0s") {
    location = K0s();
  } else if (flavor == "microk8s") {
    location = MicroK8s();
  } else {
    return Error(absl::StatusCode::kInvalidArgument,
                 "'{}' is no flavor of containerd; there are plain, k3s, rke2, k0s, microk8s",
                 flavor);
  }
  if (!hints.main.empty()) location.main = hints.main;
  const std::string address = hints.socket.empty() ? AddressIn(fs, location.main) : hints.socket;
  if (!address.empty()) location.socket = address;
  const std::string directory = location.main.substr(0, location.main.rfind('/'));
  if (location.file.empty()) location.file = fmt::format("{}/conf.d/{}", directory, kFileName);
  location.directory = hints.directory.empty() ? directory : hints.directory;
  return location;
}

}  // namespace gpuhost::kata_manager::containerd
