// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/redact.h"

#include <algorithm>
#include <array>

#include "daemons/node-validator/bundle/redact_line.h"
#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/observe/value.h"

namespace gpuhost::node_validator {
namespace {

// Keys of configurations whose texts checks read or name; numbers and switches are kept under all.
constexpr auto kKeys = std::to_array<std::string_view>(
    {// containerd
     "imports", "disabled_plugins", "address", "type", "default_runtime_name", "snapshotter",
     "runtime_type", "runtime_path", "pod_annotations", "container_annotations", "sandboxer",
     "sandbox_mode", "cdi_spec_dirs", "ConfigPath", "BinaryName", "TypeUrl",
     // Kata
     "path", "kernel", "image", "initrd", "firmware", "firmware_volume", "machine_type", "name",
     "kernel_verity_params", "verity_params", "rootfs_type", "shared_fs", "virtio_fs_daemon",
     "cold_plug_vfio", "hot_plug_vfio", "vfio_mode", "pod_resource_api_sock", "enable_annotations",
     "experimental", "block_device_driver",
     // the kubelet
     "apiVersion", "kind", "cgroupDriver", "runtimeRequestTimeout", "containerRuntimeEndpoint",
     // CDI; kata-manager's records
     "cdiVersion", "hostPath", "containerPath", "permissions", "hookName", "version"});
// Of gpuhost's own documents: status, and records of changes.
constexpr auto kOwnKeys = std::to_array<std::string_view>(
    {"daemon", "updated",  "phase", "target", "transition", "reason", "bdf",  "state",  "pending",
     "error",  "unusable", "unit",  "users",  "from",       "to",     "mode", "result", "began",
     "ended",  "time",     "what",  "device", "devices",    "steps",  "name"});
// Keys with something private, or a whole table of it.
constexpr auto kPrivate =
    std::to_array<std::string_view>({"auth", "header", "private", "username", "env", "registry",
                                     "mirror", "certificate", "proxy_url"});
constexpr size_t kLongestText = 400;  // keys and certificates are longer

enum class Kind { kConfiguration, kOurs };

bool IsPrivate(std::string_view key) {
  std::string lower(key);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c);
  });
  return lower == "key" || SoundsSecret(key) ||
         std::ranges::any_of(kPrivate, [&](std::string_view word) {
           return lower.find(word) != std::string::npos;
         });
}

std::string CleanTextUnder(std::string_view key, const std::string& text, Kind kind) {
  if (key == "kernel_params") return CleanKernelLine(text);
  const bool known = std::ranges::count(kKeys, key) > 0 ||
                     (kind == Kind::kOurs && std::ranges::count(kOwnKeys, key) > 0);
  if (!known || text.size() > kLongestText) return std::string(kRemoved);
  return RedactText(text);
}

// Also what stands where a name is expected may be a secret.
std::string CleanKey(const std::string& key) {
  return key.size() > kLongestText || LooksSecret(key) ? std::string(kRemoved) : key;
}

void Clean(Value& value, std::string_view key, Kind kind) {
  if (IsPrivate(key)) {
    value = Value(std::string(kRemoved));
  } else if (Value::Table* table = value.AsTable()) {
    Value::Table clean;
    for (auto& [name, member] : *table) {
      Clean(member, name, kind);
      clean.insert_or_assign(CleanKey(name), std::move(member));
    }
    *table = std::move(clean);
  } else if (auto* list = std::get_if<Value::List>(&value.data)) {
    for (Value& member : *list) Clean(member, key, kind);
  } else if (auto* text = std::get_if<std::string>(&value.data)) {
    *text = CleanTextUnder(key, *text, kind);
  }
}

// Which resources the kubelet has, and nothing of the pods that have them.
std::optional<std::string> CleanCheckpoint(const std::string& content) {
  const auto value = ParseJson(content);
  if (!value.ok()) return std::nullopt;
  Value::Table devices;
  for (const auto& [resource, ids] : value->TableAt({"Data", "RegisteredDevices"})) {
    Value::List kept;
    for (const auto& id : value->Texts({"Data", "RegisteredDevices", resource})) {
      kept.emplace_back(RedactText(id));
    }
    devices[CleanKey(resource)] = Value(std::move(kept));
  }
  Value::Table data, document;
  data["RegisteredDevices"] = Value(std::move(devices));
  document["Data"] = Value(std::move(data));
  return RenderJson(Value(std::move(document)));
}

template <typename Parse, typename Render>
std::optional<std::string> CleanDocument(const std::string& content, Kind kind, Parse parse,
                                         Render render) {
  auto value = parse(content);
  if (!value.ok()) return std::nullopt;
  Clean(*value, "", kind);
  return render(*value);
}

// Files that the kernel writes, or the system's packages, and that have no settings of anybody's.
bool IsPlain(std::string_view path) {
  const auto ends = [&](std::string_view end) { return path.ends_with(end); };
  constexpr auto kPlain = std::to_array<std::string_view>(
      {"/proc/cpuinfo", "/proc/meminfo", "/proc/modules", "/proc/stat", "/etc/os-release"});
  const bool process =
      ends("/comm") || ends("/stat") || ends("/status") || ends("/cgroup") || ends("/limits");
  return std::ranges::count(kPlain, path) > 0 || path.starts_with("/sys/") ||
         path.starts_with("/proc/sys/kernel/") || path.starts_with("/boot/config-") ||
         path.starts_with("/run/nvidia/validations/") ||
         (path.starts_with("/lib/modules/") && ends("modules.builtin")) ||
         (path.starts_with("/proc/") && process);
}

}  // namespace

std::optional<std::string> Redact(std::string_view path, const std::string& content) {
  const auto is = [path](std::string_view end) { return path.ends_with(end); };
  if (path == "/proc/cmdline") return CleanKernelLine(content) + "\n";
  if (path.starts_with("/proc/") && is("/cmdline")) return CleanProcessLine(content);
  if (IsPlain(path)) return RedactText(content);
  if (is("kubelet_internal_checkpoint")) return CleanCheckpoint(content);
  const Kind kind = path.starts_with("/run/nvidia/gpuhost/") ? Kind::kOurs : Kind::kConfiguration;
  if (is(".toml")) return CleanDocument(content, kind, ParseToml, RenderToml);
  if (is(".json")) return CleanDocument(content, kind, ParseJson, RenderJson);
  if (path.find("/systemd/") != path.npos) return CleanUnit(content);
  const bool yaml = is(".yaml") || is(".yml") || is(".conf");
  if (yaml) return CleanDocument(content, kind, ParseYaml, RenderJson);
  return std::nullopt;
}

}  // namespace gpuhost::node_validator
