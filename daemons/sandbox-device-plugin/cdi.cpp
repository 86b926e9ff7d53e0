// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/cdi.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

// The first lines of every file of ours; by them they are known again.
constexpr std::string_view kHeader =
    "---\n# Written by gpuhost's sandbox-device-plugin, which replaces and removes it.\n";

// The value of the first `key` at the beginning of a line or of a member, in YAML or JSON.
std::string ValueOf(const std::string& text, std::string_view key) {
  size_t at = 0;
  while ((at = text.find(key, at)) != std::string::npos) {
    const bool begins =
        at == 0 || std::string_view("\n\"{, ").find(text[at - 1]) != std::string::npos;
    at += key.size();
    const size_t colon = text.find_first_not_of("\"' ", at);
    if (!begins || colon == std::string::npos || text[colon] != ':') continue;
    const size_t start = text.find_first_not_of("\"' ", colon + 1);
    if (start == std::string::npos) return "";
    return text.substr(start, text.find_first_of("\"', \n}", start) - start);
  }
  return "";
}

bool KataReads(const std::string& version) {
  return version.size() == 5 && version.starts_with("0.") && version[2] <= '6';
}

}  // namespace

std::string CdiFileName(std::string_view resource) {
  return fmt::format("{}-{}.yaml", kVendor, resource);
}

std::string RenderCdi(const Resource& resource) {
  std::string text(kHeader);
  text += fmt::format("cdiVersion: 0.5.0\nkind: {}/{}\ndevices:\n", kVendor, resource.name);
  for (const Unit& unit : resource.units) {
    text += fmt::format("    - name: \"{}\"\n", unit.id);
    text += "      containerEdits:\n        deviceNodes:\n";
    for (const std::string& node : unit.nodes) {
      text += fmt::format("            - path: {}\n", node);
    }
  }
  return text + "containerEdits: {}\n";
}

absl::StatusOr<bool> WriteCdi(HostFs& fs, const std::string& directory, const Resource& resource) {
  const std::string path = fmt::format("{}/{}", directory, CdiFileName(resource.name));
  if (resource.units.empty()) {
    GPUHOST_TRY(fs.Remove(path));
    return false;
  }
  const std::string text = RenderCdi(resource);
  if (fs.Read(path).value_or("") == text) return false;
  GPUHOST_TRY(fs.MakeDirectories(directory));
  GPUHOST_TRY(fs.WriteFileAtomic(path, text, 0644));
  return true;
}

std::vector<std::string> FindForeignCdi(const HostFs& fs, const std::string& directory,
                                        const std::vector<Resource>& resources) {
  std::vector<std::string> complaints;
  for (const std::string& where : {directory, std::string("/etc/cdi")}) {
    for (const std::string& name : fs.List(where).value_or(std::vector<std::string>())) {
      if (!name.ends_with(".yaml") && !name.ends_with(".json")) continue;
      const std::string path = fmt::format("{}/{}", where, name);
      const std::string text = fs.Read(path).value_or("");
      const std::string kind = ValueOf(text, "kind"), version = ValueOf(text, "cdiVersion");
      for (const Resource& resource : resources) {
        const bool ours = where == directory && name == CdiFileName(resource.name);
        if (ours || kind != FullName(resource.name)) continue;
        complaints.push_back(
            fmt::format("{} also defines {}, and which one counts depends on the "
                        "runtime; remove it",
                        path, kind));
      }
      if (!version.empty() && !KataReads(version)) {
        complaints.push_back(
            fmt::format("{} has version {}, and Kata up to 0.6.0 refuses every "
                        "pod with a GPU then; remove or rewrite it",
                        path, version));
      }
    }
  }
  return complaints;
}

absl::Status RemoveStaleCdi(HostFs& fs, const std::string& directory,
                            const std::vector<Resource>& resources) {
  const auto names = fs.List(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!name.starts_with(kVendor) || !name.ends_with(".yaml")) continue;
    const bool wanted = std::ranges::any_of(
        resources, [&](const Resource& r) { return name == CdiFileName(r.name); });
    if (wanted) continue;
    const std::string path = fmt::format("{}/{}", directory, name);
    if (fs.Read(path).value_or("").starts_with(kHeader)) GPUHOST_TRY(fs.Remove(path));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::sandbox_device_plugin
