// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/cdi.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

// The first lines of every file of ours; by them they are known again.
constexpr std::string_view kHeader =
    "---\n# Written by gpuhost's sandbox-device-plugin, which replaces and removes it.\n";

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

absl::Status WriteCdi(HostFs& fs, const std::string& directory, const Resource& resource) {
  const std::string path = fmt::format("{}/{}", directory, CdiFileName(resource.name));
  if (resource.units.empty()) return fs.Remove(path);
  const std::string text = RenderCdi(resource);
  if (fs.Read(path).value_or("") == text) return absl::OkStatus();
  GPUHOST_TRY(fs.MakeDirectories(directory));
  return fs.WriteFileAtomic(path, text, 0644);
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
