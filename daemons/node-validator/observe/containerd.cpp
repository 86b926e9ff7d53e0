// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/containerd.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <deque>

#include "daemons/node-validator/observe/unit.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

struct Place {
  std::string_view distribution, main_file, socket, unit;
};
// Where distributions keep it.
constexpr auto kPlaces = std::to_array<Place>({
    {"k3s", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
     "/run/k3s/containerd/containerd.sock", "k3s.service"},
    {"rke2", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
     "/run/k3s/containerd/containerd.sock", "rke2-agent.service"},
    {"k0s", "/etc/k0s/containerd.toml", "/run/k0s/containerd.sock", "k0sworker.service"},
    {"microk8s", "/var/snap/microk8s/current/args/containerd.toml",
     "/var/snap/microk8s/common/run/containerd.sock", "snap.microk8s.daemon-containerd.service"},
    {"", "/etc/containerd/config.toml", "/run/containerd/containerd.sock", "containerd.service"},
});
constexpr size_t kMostFiles = 64;

Place FindPlace(const Tree& tree, const std::optional<Process>& process) {
  if (process) {
    const auto file = process->Option("config") ? process->Option("config") : process->Option("c");
    for (const Place& place : kPlaces) {
      if (file == std::string(place.main_file)) return place;
    }
    if (file) return kPlaces.back();
  }
  for (const Place& place : kPlaces) {
    if (tree.Exists(place.main_file)) return place;
  }
  return kPlaces.back();
}

// The files that an entry of `imports` stands for; only "*" makes it a pattern.
std::vector<std::string> Expand(const Tree& tree, const std::string& entry) {
  const size_t slash = entry.rfind('/');
  if (entry.find('*') == std::string::npos || slash == std::string::npos) return {entry};
  std::vector<std::string> paths;
  const std::string directory = entry.substr(0, slash);
  for (const auto& name : tree.List(directory).value_or(std::vector<std::string>())) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (::fnmatch(entry.c_str(), path.c_str(), FNM_PATHNAME) == 0) paths.push_back(path);
  }
  return paths;
}

// Main file first, then what it imports, then what those import.
void ReadFiles(const Tree& tree, Containerd& found) {
  struct Next {
    std::string path, importer;
  };
  std::deque<Next> queue{{found.main_file, ""}};
  // Built into 2.2 and newer, and of no effect once there is a main file.
  if (!found.main_file_there) {
    queue.clear();
    for (const std::string& path : Expand(tree, "/etc/containerd/conf.d/*.toml")) {
      queue.push_back({path, "containerd itself"});
    }
  }
  std::set<std::string> known;
  for (; !queue.empty() && known.size() < kMostFiles; queue.pop_front()) {
    const auto [path, importer] = queue.front();
    if (!known.insert(path).second) continue;
    const auto text = tree.Read(path);
    if (absl::IsNotFound(text.status()) && !importer.empty()) {
      found.missing.push_back({path, importer});
      continue;
    }
    const auto content = text.ok() ? ParseToml(*text) : text.status();
    if (!content.ok()) {
      found.broken.push_back({path, Text(content.status())});
      continue;
    }
    found.files.push_back({path, *content});
    const auto entry = tree.Look(path);
    if (entry.ok()) found.changed = std::max(found.changed, entry->modified);
    for (std::string import : content->Texts({"imports"})) {
      if (!import.starts_with('/')) import = path.substr(0, path.rfind('/') + 1) + import;
      for (const std::string& one : Expand(tree, import)) queue.push_back({one, path});
    }
  }
}

Handler ToHandler(const std::string& name, std::string_view plugin, const Value& table) {
  return {.name = name,
          .plugin = std::string(plugin),
          .file = {},
          .runtime_type = table.Text({"runtime_type"}).value_or(""),
          .runtime_path = table.Text({"runtime_path"}).value_or(""),
          .config_path = table.Text({"options", "ConfigPath"}).value_or(""),
          .snapshotter = table.Text({"snapshotter"}).value_or(""),
          .image_snapshotter = {},
          .pod_annotations = table.Texts({"pod_annotations"}),
          .no_host_devices = table.Bool({"privileged_without_host_devices"}).value_or(false)};
}

std::vector<Handler> HandlersAt(const Value& config, int schema) {
  std::vector<Handler> handlers;
  const auto path = RuntimesPath(schema);
  const Value* runtimes = config.Find(path);
  if (runtimes == nullptr || runtimes->AsTable() == nullptr) return handlers;
  for (const auto& [name, table] : *runtimes->AsTable()) {
    handlers.push_back(ToHandler(name, path[1], table));
  }
  return handlers;
}

// The last file that writes this handler below its plugin.
std::string FileOf(const std::vector<ConfigFile>& files, const Handler& handler) {
  std::string path;
  for (const ConfigFile& file : files) {
    if (file.content.Find({"plugins", handler.plugin, "containerd", "runtimes", handler.name})) {
      path = file.path;
    }
  }
  return path;
}

void Interpret(Containerd& found) {
  found.merged = MergeFiles(found.files, found.version);
  found.schema = found.files.empty() ? NewestSchema(found.version) : SchemaOf(found.merged);
  found.handlers = HandlersAt(found.merged, found.schema);
  for (Handler& handler : found.handlers) {
    handler.file = FileOf(found.files, handler);
    handler.image_snapshotter = found.merged
                                    .Text({"plugins", "io.containerd.cri.v1.images",
                                           "runtime_platforms", handler.name, "snapshotter"})
                                    .value_or("");
  }
  const auto is_read = [&](const std::string& name) {
    return std::ranges::any_of(found.handlers, [&](const Handler& h) { return h.name == name; });
  };
  for (const int schema : {1, 2, 3}) {
    if (schema == std::min(found.schema, 3)) continue;
    for (Handler& handler : HandlersAt(found.merged, schema)) {
      handler.file = FileOf(found.files, handler);
      if (IsKata(handler) && !is_read(handler.name)) found.misplaced.push_back(std::move(handler));
    }
  }
  const auto runtimes = RuntimesPath(found.schema);
  const std::string_view plugin = runtimes[1];
  found.disabled_plugins = found.merged.Texts({"disabled_plugins"});
  found.default_runtime =
      found.merged.Text({"plugins", plugin, "containerd", "default_runtime_name"}).value_or("runc");
  found.cdi_enabled = found.merged.Bool({"plugins", plugin, "enable_cdi"});
  found.cdi_directories = found.merged.Texts({"plugins", plugin, "cdi_spec_dirs"});
  found.systemd_cgroups =
      found.merged
          .Bool({"plugins", plugin, "containerd", "runtimes", "runc", "options", "SystemdCgroup"})
          .value_or(false);
  for (const auto& [name, table] : found.merged.TableAt({"proxy_plugins"})) {
    if (table.Text({"type"}) != "snapshot") continue;
    found.proxy_snapshotters.insert(name);
    found.snapshotter_sockets[name] = table.Text({"address"}).value_or("");
  }
}

std::string FindProgram(const Tree& tree, const std::optional<Process>& process) {
  if (process && process->program.starts_with('/')) return process->program;
  for (const char* path : {"/usr/bin/containerd", "/usr/local/bin/containerd"}) {
    if (tree.Exists(path)) return path;
  }
  return "";
}

}  // namespace

bool IsKata(const Handler& handler) {
  return handler.runtime_type.starts_with("io.containerd.kata") ||
         handler.runtime_path.find("containerd-shim-kata") != std::string::npos ||
         handler.config_path.find("kata") != std::string::npos;
}

Containerd ObserveContainerd(const Tree& tree, Questions& questions) {
  Containerd found;
  const auto processes = FindProcesses(tree, "containerd");
  if (!processes.empty()) found.process = processes.front();
  found.crio = !FindProcesses(tree, "crio").empty();
  const Place place = FindPlace(tree, found.process);
  found.distribution = place.distribution;
  found.main_file = place.main_file;
  found.socket = place.socket;
  if (found.process) {
    for (const char* name : {"c", "config"}) {
      if (const auto file = found.process->Option(name)) found.main_file = *file;
    }
  }
  found.program = FindProgram(tree, found.process);
  found.main_file_there = tree.Exists(found.main_file);
  if (!found.program.empty()) {
    found.version_text = questions.Ask(Question::kVersion, found.program);
    found.version = FindVersion(found.version_text.value_or(""));
    found.dump = questions.Ask(Question::kContainerdDump, found.program + " " + found.main_file);
  }
  if (found.main_file_there || found.version >= Version{2, 2, 0}) ReadFiles(tree, found);
  Interpret(found);
  if (const auto socket = found.merged.Text({"grpc", "address"})) found.socket = *socket;
  for (const char* name : {"a", "address"}) {
    const auto socket = found.process ? found.process->Option(name) : std::nullopt;
    if (socket) found.socket = *socket;
  }
  if (tree.Exists(found.socket)) {
    found.running_handlers = questions.Ask(Question::kRuntimeHandlers, found.socket);
  }
  found.unit = ReadUnit(tree, std::string(place.unit));
  return found;
}

}  // namespace gpuhost::node_validator
