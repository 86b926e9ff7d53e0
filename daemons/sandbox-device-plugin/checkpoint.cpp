// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/checkpoint.h"

#include <absl/strings/escaping.h>
#include <deviceplugin_v1beta1.pb.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using nlohmann::json;

std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

void AddIds(const json& list, std::vector<std::string>& ids) {
  if (!list.is_array()) return;
  for (const json& id : list) {
    if (id.is_string()) ids.push_back(id.get<std::string>());
  }
}

std::vector<std::string> NodesOf(const std::string& base64) {
  std::vector<std::string> nodes;
  std::string bytes;
  v1beta1::ContainerAllocateResponse response;
  if (!absl::Base64Unescape(base64, &bytes) || !response.ParseFromString(bytes)) return nodes;
  for (const v1beta1::DeviceSpec& spec : response.devices()) nodes.push_back(spec.host_path());
  return nodes;
}

Remembered FromEntry(const json& entry) {
  Remembered remembered{.pod = TextOf(entry, "PodUID"),
                        .container = TextOf(entry, "ContainerName"),
                        .resource = TextOf(entry, "ResourceName"),
                        .nodes = NodesOf(TextOf(entry, "AllocResp"))};
  const auto ids = entry.find("DeviceIDs");
  if (ids == entry.end()) return remembered;
  AddIds(*ids, remembered.ids);
  if (ids->is_object()) {
    for (const json& of_node : *ids) AddIds(of_node, remembered.ids);
  }
  return remembered;
}

}  // namespace

absl::StatusOr<std::vector<Remembered>> ParseCheckpoint(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  const auto data = document.is_object() ? document.find("Data") : document.end();
  if (!document.is_object() || data == document.end() || !data->is_object()) {
    return absl::DataLossError("not a checkpoint of the kubelet's device manager");
  }
  std::vector<Remembered> remembered;
  const auto entries = data->find("PodDeviceEntries");
  if (entries == data->end() || !entries->is_array()) return remembered;
  for (const json& entry : *entries) {
    if (!entry.is_object()) continue;
    Remembered one = FromEntry(entry);
    if (!one.resource.empty() && !one.ids.empty()) remembered.push_back(std::move(one));
  }
  return remembered;
}

std::map<std::string, Problem> CompareCheckpoint(
    const std::vector<Remembered>& remembered,
    const std::map<std::string, std::vector<Unit>>& units) {
  std::map<std::string, std::string> owners;  // of nodes: id
  for (const auto& [resource, list] : units) {
    for (const Unit& unit : list) {
      for (const std::string& node : unit.nodes) owners[node] = unit.id;
    }
  }
  std::map<std::string, Problem> problems;
  for (const Remembered& one : remembered) {
    if (!units.contains(one.resource)) continue;
    const std::set<std::string> ids(one.ids.begin(), one.ids.end());
    for (const std::string& node : one.nodes) {
      const auto owner = owners.find(node);
      if (owner == owners.end() || ids.contains(owner->second)) continue;
      const Problem problem{
          Reason::kCheckpoint,
          fmt::format("container {} of pod {} would get {}, which is device {} now, for its {}; "
                      "delete that pod",
                      one.container, one.pod, node, owner->second, fmt::join(ids, ", "))};
      problems.emplace(owner->second, problem);
      for (const std::string& id : ids) problems.emplace(id, problem);
    }
  }
  return problems;
}

}  // namespace gpuhost::sandbox_device_plugin
