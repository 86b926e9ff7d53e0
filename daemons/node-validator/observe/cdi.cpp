// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/cdi.h"

#include "daemons/node-validator/observe/value.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// Names in YAML without quotes may look like numbers.
std::string TextOf(const Value& table, std::string_view key) {
  if (const auto text = table.Text({key})) return *text;
  const auto number = table.Integer({key});
  return number ? fmt::format("{}", *number) : "";
}

CdiDevice ReadDevice(const Value& value, CdiSpec& spec) {
  CdiDevice device{.name = TextOf(value, "name"), .nodes = {}};
  if (device.name.empty()) spec.problem = "one of its devices has no name";
  if (!value.Text({"name"}) && !device.name.empty()) {
    spec.problem = fmt::format("the name {} is a number, not a text; it needs quotes", device.name);
  }
  const Value* edits = value.Find({"containerEdits"});
  if (edits == nullptr || edits->AsTable() == nullptr || edits->AsTable()->empty()) {
    spec.problem = fmt::format("device {} has no containerEdits", device.name);
    return device;
  }
  const Value* nodes = edits->Find({"deviceNodes"});
  if (nodes == nullptr || nodes->AsList() == nullptr) return device;
  for (const Value& node : *nodes->AsList()) device.nodes.push_back(TextOf(node, "path"));
  return device;
}

CdiSpec ReadSpec(const Tree& tree, const std::string& path) {
  CdiSpec spec{.path = path};
  const auto text = tree.Read(path);
  const auto value =
      text.ok() ? (path.ends_with(".json") ? ParseJson(*text) : ParseYaml(*text)) : text.status();
  if (!value.ok()) {
    spec.problem = Text(value.status());
    return spec;
  }
  spec.kind = TextOf(*value, "kind");
  spec.version = TextOf(*value, "cdiVersion");
  if (spec.version.empty()) spec.problem = "it has no cdiVersion";
  if (spec.kind.find('/') == std::string::npos) spec.problem = "its kind is no vendor/class";
  const Value* devices = value->Find({"devices"});
  if (devices == nullptr || devices->AsList() == nullptr || devices->AsList()->empty()) {
    spec.problem = "it has no devices, which makes it invalid; such a file must be removed";
    return spec;
  }
  std::set<std::string> names;
  for (const Value& device : *devices->AsList()) {
    spec.devices.push_back(ReadDevice(device, spec));
    if (!names.insert(spec.devices.back().name).second) {
      spec.problem = fmt::format("it has two devices {}", spec.devices.back().name);
    }
  }
  return spec;
}

}  // namespace

CdiFacts ObserveCdi(const Tree& tree) {
  CdiFacts cdi;
  for (const std::string directory : {"/etc/cdi", "/var/run/cdi"}) {
    for (const auto& name : tree.List(directory).value_or(std::vector<std::string>())) {
      if (name.starts_with('.')) continue;
      if (!name.ends_with(".yaml") && !name.ends_with(".json")) continue;
      cdi.specs.push_back(ReadSpec(tree, fmt::format("{}/{}", directory, name)));
    }
  }
  for (const CdiSpec& spec : cdi.specs) {
    for (const CdiDevice& device : spec.devices) {
      for (const std::string& node : device.nodes) {
        if (!node.starts_with("/dev/vfio/")) continue;
        const auto entry = tree.Look(node);
        cdi.node_present[node] = entry.ok() && entry->kind == Kind::kCharacterDevice;
      }
    }
  }
  return cdi;
}

}  // namespace gpuhost::node_validator
