// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/containerd.h"

#include <fnmatch.h>

#include <algorithm>
#include <deque>

#include "daemons/node-validator/observe/runnable.h"
#include "daemons/node-validator/observe/unit.h"
#include "daemons/node-validator/observe/which_containerd.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr size_t kMostFiles = 64;

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

// What it is, as it says itself on its socket; where that cannot be asked, a program of it tells.
void AskVersion(const Tree& tree, Questions& questions, const std::string& program,
                Containerd& found) {
  if (tree.Exists(found.socket)) {
    found.version_text = questions.Ask(Question::kRuntimeVersion, found.socket);
  }
  if (!found.version_text.ok() && !program.empty()) {
    found.version_text = questions.Ask(Question::kVersion, program);
  }
  // A bundle of before processes were proved; there is nothing that could be run.
  if (!found.version_text.ok() && tree.captured() && found.process) {
    found.version_text = questions.Ask(Question::kVersion, found.process->program);
  }
  found.version = FindVersion(found.version_text.value_or(""));
}

std::string SocketIn(const Containerd& found) {
  for (const char* name : {"a", "address"}) {
    const auto socket = found.process ? found.process->Option(name) : std::nullopt;
    if (socket) return *socket;
  }
  return found.merged.Text({"grpc", "address"}).value_or(found.socket);
}

// Its main file alone, for what must be known before the rest can be read.
std::string SocketInMainFile(const Tree& tree, const Containerd& found) {
  Containerd main = found;
  const auto text = tree.Read(found.main_file);
  const auto content = text.ok() ? ParseToml(*text) : text.status();
  if (content.ok()) main.merged = *content;
  return SocketIn(main);
}

}  // namespace

bool IsKata(const Handler& handler) {
  return handler.runtime_type.starts_with("io.containerd.kata") ||
         handler.runtime_path.find("containerd-shim-kata") != std::string::npos ||
         handler.config_path.find("kata") != std::string::npos;
}

Containerd ObserveContainerd(const Tree& tree, Questions& questions, const KubeletFacts& kubelet) {
  Containerd found;
  const Which which = WhichContainerd(tree, questions, kubelet);
  const Place& place = which.place;
  found.process = which.process;
  found.known = which.known;
  found.crio = which.crio;
  found.distribution = place.distribution;
  found.main_file = place.main_file;
  found.socket = place.socket;
  if (found.process) {
    for (const char* name : {"c", "config"}) {
      if (const auto file = found.process->Option(name)) found.main_file = *file;
    }
  }
  found.unit =
      ReadUnit(tree, found.process && !found.process->unit.empty() ? found.process->unit
                                                                   : std::string(place.service));
  const std::string program =
      RunnableProgram(tree,
                      {ProgramOf(found.unit.settings["ExecStart"]), std::string(place.program),
                       "/usr/bin/containerd", "/usr/local/bin/containerd"},
                      found.process);
  found.program = found.process ? found.process->program : program;
  found.main_file_there = tree.Exists(found.main_file);
  found.socket = SocketInMainFile(tree, found);
  AskVersion(tree, questions, program, found);
  if (!program.empty() && found.main_file.starts_with('/')) {
    found.dump = questions.Ask(Question::kContainerdDump, program + " " + found.main_file);
  }
  if (found.main_file_there || found.version >= Version{2, 2, 0}) ReadFiles(tree, found);
  Interpret(found);
  found.socket = SocketIn(found);
  if (tree.Exists(found.socket)) {
    found.running_handlers = questions.Ask(Question::kRuntimeHandlers, found.socket);
  }
  return found;
}

}  // namespace gpuhost::node_validator
