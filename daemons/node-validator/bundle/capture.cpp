// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/capture.h"

#include <algorithm>
#include <optional>

#include "daemons/common/service/status_document.h"
#include "daemons/node-validator/bundle/redact.h"
#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/observe/value.h"

namespace gpuhost::node_validator {
namespace {

constexpr size_t kMostNames = 512;  // of one directory

// What the scan of the bus reads; it goes to the files by another way.
void LookAtDevice(const Tree& tree, const pci::Device& device) {
  tree.Link(device.SysfsPath()).IgnoreError();
  for (const char* name :
       {"vendor", "device", "class", "subsystem_vendor", "subsystem_device", "numa_node",
        "reset_method", "power_state", "power/control", "d3cold_allowed", "modalias"}) {
    tree.Read(device.SysfsPath(name)).IgnoreError();
  }
  for (const char* name : {"driver", "iommu_group", "physfn"}) {
    tree.Link(device.SysfsPath(name)).IgnoreError();
  }
  const std::string directory = device.SysfsPath("vfio-dev");
  for (const auto& name : tree.List(directory).value_or(std::vector<std::string>())) {
    tree.Read(fmt::format("{}/{}/dev", directory, name)).IgnoreError();
  }
  if (!device.iommu_group) return;
  const std::string group = fmt::format("/sys/kernel/iommu_groups/{}/devices", *device.iommu_group);
  for (const auto& name : tree.List(group).value_or(std::vector<std::string>())) {
    tree.Link(fmt::format("{}/{}", group, name)).IgnoreError();
  }
}

void LookAtMore(const Tree& tree, const Facts& facts) {
  if (facts.devices.scanned.ok()) {
    for (const pci::Device& device : *facts.devices.scanned) LookAtDevice(tree, device);
  }
  for (const GpuFacts& gpu : facts.devices.gpus) {
    for (const pci::Device& device : gpu.neighbours) LookAtDevice(tree, device);
    for (const Bridge& bridge : gpu.bridges) tree.Link(pci::SysfsPath(bridge.bdf)).IgnoreError();
  }
  for (const std::string& directory :
       {std::string(service::kStatusDirectory), std::string("/run/nvidia/gpuhost-flight")}) {
    for (const auto& name : tree.List(directory).value_or(std::vector<std::string>())) {
      if (name.ends_with(".json")) tree.Read(fmt::format("{}/{}", directory, name)).IgnoreError();
    }
  }
}

class Capturer {
 public:
  explicit Capturer(const Tree& tree) : tree_(tree) {}

  // A file may have been looked at by several names; what was seen by all of them counts.
  void Add(const std::string& path, const Tree::Seen& seen) {
    Tree::Seen& all = seen_[Follow(path)];
    all.whole = all.whole || seen.whole;
    all.parts.insert(seen.parts.begin(), seen.parts.end());
    if (all.names.empty()) all.names = seen.names;
  }

  void AddContents() {
    for (const auto& [path, seen] : seen_) AddContent(path, seen);
    for (const auto& [path, stub] : named_)
      captured_.files.try_emplace(path, CapturedFile{stub, 0});
  }

  void AddAnswer(const std::string& name, const absl::StatusOr<std::string>& answer) {
    absl::StatusOr<std::string> shown = answer;
    if (answer.ok() && name.starts_with("containerd-dump@")) {
      shown = Redact("dump.toml", *answer).value_or("");
    } else if (answer.ok()) {
      shown = RedactText(*answer);
    }
    const std::string text = RedactText(RenderAnswer(shown));
    captured_.files[fmt::format("{}/{}", kCapture, name)] = {text, 0};
  }

  CapturedTree Take() { return std::move(captured_); }

 private:
  // The path without links on its way; those that were found are kept.
  std::string Follow(const std::string& path) {
    std::string real, rest = path;
    for (int links = 0; !rest.empty();) {
      const size_t end = std::min(rest.find('/', 1), rest.size());
      const std::string part = rest.substr(0, end);
      rest.erase(0, end);
      if (part == "/" || part == "/.") continue;
      if (part == "/..") {
        real.erase(real.empty() ? 0 : real.rfind('/'));
        continue;
      }
      const auto target = tree_.Link(real + part);
      if (!target.ok() || ++links > 40) {
        real += part;
        continue;
      }
      captured_.links[real + part] = *target;
      if (target->starts_with('/')) real.clear();
      rest = (target->starts_with('/') ? "" : "/") + *target + rest;
    }
    return real;
  }

  void AddContent(const std::string& path, const Tree::Seen& seen) {
    const auto entry = tree_.Look(path);
    if (!entry.ok()) return;
    if (entry->kind == Kind::kDirectory) {
      captured_.directories.insert(path);
      for (size_t i = 0; i < std::min(seen.names.size(), kMostNames); ++i) {
        AddName(path + "/" + seen.names[i]);
      }
      return;
    }
    const auto content =
        seen.whole && entry->kind == Kind::kFile
            ? tree_.Read(path, 16u << 20)
            : absl::StatusOr<std::string>(absl::UnavailableError("not read as a whole"));
    const auto shown = content.ok() ? Redact(path, *content) : std::nullopt;
    if (shown && !LooksSecret(*shown)) {
      captured_.files[path] = {*shown, entry->modified};
      return;
    }
    if (content.ok()) captured_.left_out.insert(path);
    captured_.files[path] = {RenderStub(*entry, seen.parts), entry->modified};
  }

  // Something whose name alone was seen.
  void AddName(const std::string& path) {
    if (captured_.files.contains(path) || captured_.links.contains(path)) return;
    if (const auto target = tree_.Link(path); target.ok()) {
      captured_.links[path] = *target;
    } else if (const auto entry = tree_.Look(path); entry.ok()) {
      if (entry->kind == Kind::kDirectory) {
        captured_.directories.insert(path);
      } else {
        named_.insert_or_assign(path, RenderStub(*entry, {}));
      }
    }
  }

  const Tree& tree_;
  CapturedTree captured_;
  std::map<std::string, Tree::Seen> seen_;    // by paths without links
  std::map<std::string, std::string> named_;  // stubs
};

}  // namespace

CapturedTree Capture(const Tree& tree, const Questions& questions, const Facts& facts) {
  LookAtMore(tree, facts);
  const auto seen = tree.seen();  // a copy: looking adds to it
  Capturer capturer(tree);
  for (const auto& [path, what] : seen) {
    if (path.starts_with('/') && !path.starts_with(kCapture)) capturer.Add(path, what);
  }
  capturer.AddContents();
  for (const auto& [name, answer] : questions.asked()) capturer.AddAnswer(name, answer);
  return capturer.Take();
}

}  // namespace gpuhost::node_validator
