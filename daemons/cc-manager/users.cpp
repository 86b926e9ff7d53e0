// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/users.h"

#include <algorithm>
#include <set>

#include "daemons/cc-manager/operands.h"

namespace gpuhost::cc_manager {
namespace {

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

}  // namespace

Users FindUsers(std::span<const DeviceView> devices,
                const std::optional<service::StatusDocument>& plugin,
                std::span<const kube::Pod> pods) {
  Users users;
  std::set<std::string> names;  // of pods
  for (const kube::Pod& pod : pods) {
    if (!HoldsDevices(pod)) continue;
    names.insert(fmt::format("pod {}/{}", pod.name_space, pod.name));
    users.pods.push_back(pod);
  }
  if (plugin) {
    for (const service::DeviceStatus& device : plugin->devices) {
      for (const std::string& user : device.users.value_or(std::vector<std::string>()))
        names.insert(PodOf(user));
    }
  }
  if (!names.empty()) users.text = fmt::format("in use by {}", fmt::join(names, ", "));
  for (const DeviceView& device : devices) {
    if (device.settled || device.in_use_by.empty()) continue;
    users.text += fmt::format("{}{}: in use by {}", users.text.empty() ? "" : "; ", device.bdf,
                              device.in_use_by);
  }
  return users;
}

}  // namespace gpuhost::cc_manager
