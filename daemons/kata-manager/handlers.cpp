// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/handlers.h"

#include <algorithm>
#include <array>

#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kRuntimeType = "\"io.containerd.kata.v2\"";
constexpr std::array kShims = {"/opt/kata/bin/containerd-shim-kata-v2",
                               "/usr/local/bin/containerd-shim-kata-v2",
                               "/usr/bin/containerd-shim-kata-v2"};

std::string List(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(Quoted(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

absl::StatusOr<std::string> FindShim(const HostFs& host, const RuntimeClass& entry) {
  if (!entry.runtime_path.empty()) {
    if (host.Exists(entry.runtime_path)) return entry.runtime_path;
    return Error(absl::StatusCode::kNotFound, "runtimePath {} is not there", entry.runtime_path);
  }
  const auto found =
      std::ranges::find_if(kShims, [&](const char* path) { return host.Exists(path); });
  if (found != kShims.end()) return std::string(*found);
  return Error(absl::StatusCode::kNotFound,
               "no Kata shim at {}; install Kata Containers, or give runtimePath",
               fmt::join(kShims, ", "));
}

std::string YamlText(const std::string& text) { return Quoted(text); }  // JSON's strings, both

void AddMap(std::string& text, const std::string& head, const std::string& indent,
            const std::map<std::string, std::string>& map) {
  if (map.empty()) return;
  text += head;
  for (const auto& [key, value] : map) {
    text += fmt::format("{}{}: {}\n", indent, YamlText(key), YamlText(value));
  }
}

}  // namespace

absl::StatusOr<containerd::Handler> HandlerFor(const HostFs& host, const RuntimeClass& entry,
                                               const std::string& config_path) {
  containerd::Handler handler{.name = entry.name};
  GPUHOST_ASSIGN(const std::string shim, FindShim(host, entry));
  handler.keys["runtime_type"] = kRuntimeType;
  handler.keys["runtime_path"] = Quoted(shim);
  handler.keys["privileged_without_host_devices"] =
      entry.privileged_without_host_devices ? "true" : "false";
  if (!entry.pod_annotations.empty()) {
    handler.keys["pod_annotations"] = List(entry.pod_annotations);
  }
  if (!entry.container_annotations.empty()) {
    handler.keys["container_annotations"] = List(entry.container_annotations);
  }
  for (const auto& [key, value] : entry.handler) handler.keys[key] = value;
  handler.options["ConfigPath"] = Quoted(config_path);
  handler.snapshotter = entry.snapshotter;
  return handler;
}

containerd::Location CrioLocation(const std::string& config) {
  const std::string directory = config.substr(0, config.rfind('/'));
  return {.flavor = "crio",
          .main = config,
          .directory = directory,
          .editable = false,
          .file = directory + "/crio.conf.d/99-gpuhost-kata.conf",
          .units = {"crio.service"},
          .socket = "/var/run/crio/crio.sock",
          .programs = {}};
}

containerd::Plan MakeCrioPlan(const containerd::Observed& observed,
                              const std::vector<containerd::Handler>& handlers) {
  containerd::Plan plan{.changes = {}, .handlers = handlers, .ours = {}};
  constexpr std::string_view kTable = "crio.runtime.runtimes.";
  const auto before = Flatten("ours", observed.file.value_or(""));
  for (const auto& [key, value] : before.value_or(Flat())) {
    // Whoever has written it: any key may be there.
    if (!key.starts_with(kTable)) continue;
    const std::string rest = key.substr(kTable.size());
    const std::string name = rest.substr(0, rest.find_first_of(".["));
    if (std::ranges::find(plan.ours, name) == plan.ours.end()) plan.ours.push_back(name);
  }
  std::string text = "# Written by gpuhost's kata-manager, which replaces and removes it.\n";
  for (const containerd::Handler& handler : handlers) {
    text += fmt::format(
        "[{}{}]\nruntime_path = {}\nruntime_type = \"vm\"\nruntime_root = \"/run/vc\"\n"
        "runtime_config_path = {}\nprivileged_without_host_devices = {}\n",
        kTable, TomlKey(handler.name), handler.keys.at("runtime_path"),
        handler.options.at("ConfigPath"), handler.keys.at("privileged_without_host_devices"));
  }
  const std::optional<std::string> after =
      handlers.empty() ? std::nullopt : std::optional<std::string>(text);
  if (observed.file != after) plan.changes.push_back({observed.where.file, observed.file, after});
  return plan;
}

std::vector<std::string> DroppedByCrio(const RuntimeClass& entry) {
  std::vector<std::string> dropped;
  if (!entry.snapshotter.empty()) dropped.emplace_back("snapshotter");
  if (entry.pod_annotations != RuntimeClass().pod_annotations) {
    dropped.emplace_back("podAnnotations");
  }
  if (!entry.container_annotations.empty()) dropped.emplace_back("containerAnnotations");
  for (const auto& [key, value] : entry.handler) dropped.push_back("handler." + key);
  return dropped;
}

std::string RenderRuntimeClasses(const Config& config) {
  std::string text;
  for (const RuntimeClass& entry : config.classes) {
    text += fmt::format(
        "---\napiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata:\n  name: {0}\n  labels:\n"
        "    app.kubernetes.io/managed-by: gpuhost\nhandler: {0}\n",
        entry.name);
    AddMap(text, "overhead:\n  podFixed:\n", "    ", entry.overhead);
    AddMap(text, "scheduling:\n  nodeSelector:\n", "    ", entry.node_selector);
  }
  return text;
}

}  // namespace gpuhost::kata_manager
