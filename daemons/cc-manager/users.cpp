// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/users.h"

#include <algorithm>
#include <set>

#include "daemons/cc-manager/operands.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using Names = std::set<std::string>;  // of pods

bool HoldsDevices(const kube::Pod& pod) {
  return !pod.finished() && !IsPausedOperand(pod.labels) &&
         std::ranges::any_of(pod.gpus, [](const auto& resource) { return resource.second > 0; });
}

// "pod namespace/name" of "namespace/name/container"; the plugin's own words where it does not know
// the pod yet.
std::string PodOf(const std::string& user) {
  const size_t slash = user.rfind('/');
  return slash == std::string::npos ? user : "pod " + user.substr(0, slash);
}

// What the plugin says of the devices.
struct Told {
  Names users;   // of devices that are to be changed
  Names spared;  // of devices that are in the mode already
  std::vector<std::string> unknown;
};

// Units of the plugin, which are boards with all their functions, of which a device is to be
// changed.
std::set<std::string> ChangedUnits(std::span<const DeviceView> devices,
                                   const service::StatusDocument& plugin) {
  std::set<std::string> seen, units;
  for (const DeviceView& view : devices) {
    for (const service::DeviceStatus& device : plugin.devices) {
      if (view.bdf.ToString() != device.bdf) continue;
      seen.insert(device.bdf);
      if (!view.settled) units.insert(device.unit);
    }
  }
  for (const service::DeviceStatus& device : plugin.devices) {
    const bool companion = !device.unit.empty() && !seen.contains(device.bdf) &&
                           std::ranges::any_of(plugin.devices, [&](const auto& other) {
                             return other.unit == device.unit && seen.contains(other.bdf);
                           });
    if (!companion && !seen.contains(device.bdf)) units.insert(device.unit);
  }
  return units;
}

Told ReadPlugin(std::span<const DeviceView> devices, const service::StatusDocument& plugin) {
  Told told;
  const std::set<std::string> changed = ChangedUnits(devices, plugin);
  for (const service::DeviceStatus& device : plugin.devices) {
    const bool settled = !changed.contains(device.unit);
    for (const std::string& user : device.users.value_or(std::vector<std::string>())) {
      (settled ? told.spared : told.users).insert(PodOf(user));
    }
    if (!device.users && !settled) told.unknown.push_back(device.bdf);
  }
  for (const std::string& user : told.users) told.spared.erase(user);
  return told;
}

void Add(std::string& text, const std::string& more) { text += (text.empty() ? "" : "; ") + more; }

}  // namespace

Users FindUsers(std::span<const DeviceView> devices, const PluginWord& plugin,
                const absl::StatusOr<std::vector<kube::Pod>>& pods) {
  Users users;
  Told told;
  if (plugin && plugin->ok()) {
    told = ReadPlugin(devices, **plugin);
    if (!told.unknown.empty()) {
      const std::string& why = (*plugin)->reason;
      users.unknown = fmt::format(
          "the pods that have {} are not known ({}); the kubelet is to tell sandbox-device-plugin",
          fmt::join(told.unknown, ", "), why.empty() ? "no reason given" : why);
    }
  } else if (plugin) {
    users.unknown = fmt::format(
        "the pods that have GPUs are not known ({}); restart "
        "sandbox-device-plugin",
        Text(plugin->status()));
  }
  if (!pods.ok()) {
    Add(users.unknown,
        fmt::format("the pods of this node are not known ({})", Text(pods.status())));
  } else {
    for (const kube::Pod& pod : *pods) {
      const std::string name = fmt::format("pod {}/{}", pod.name_space, pod.name);
      if (!HoldsDevices(pod) || told.spared.contains(name)) continue;
      told.users.insert(name);
      users.pods.push_back(pod);
    }
  }
  if (!told.users.empty()) users.text = fmt::format("in use by {}", fmt::join(told.users, ", "));
  for (const DeviceView& device : devices) {
    if (device.settled || device.in_use_by.empty()) continue;
    Add(users.text, fmt::format("{}: in use by {}", device.bdf, device.in_use_by));
  }
  return users;
}

}  // namespace gpuhost::cc_manager
