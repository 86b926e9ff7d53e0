// SPDX-License-Identifier: Apache-2.0
//
// What the kubelet remembers over its own restarts and those of the machine: which container has
// which devices, and the answer that was given when it got them. It gives the same answer to a
// container that starts again, without asking the plugin, also when a device has another node by
// then and that node is another device's.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/sandbox-device-plugin/health.h"

namespace gpuhost::sandbox_device_plugin {

struct Remembered {
  std::string pod;  // its UID
  std::string container;
  std::string resource;  // "nvidia.com/pgpu"
  std::vector<std::string> ids;
  std::vector<std::string> nodes;  // device nodes on the host
};

// Parses kubelet_internal_checkpoint, with the devices by NUMA node or, as before Kubernetes 1.20,
// in one list. Entries that make no sense are left out. kDataLoss when the whole is no checkpoint.
absl::StatusOr<std::vector<Remembered>> ParseCheckpoint(const std::string& text);

// Units that must not be used while the kubelet remembers what it does, by id, of all resources
// ("nvidia.com/..."): those that would get another's nodes, and those whose nodes another would
// get.
std::map<std::string, Problem> CompareCheckpoint(
    const std::vector<Remembered>& remembered,
    const std::map<std::string, std::vector<Unit>>& units);

}  // namespace gpuhost::sandbox_device_plugin
