// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/cdi.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "daemons/common/service/instance.h"
#include "daemons/kata-manager/change.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kDirectory = "/var/run/cdi";
constexpr const char* kPlugin = "sandbox-device-plugin";
constexpr std::string_view kHeader =
    "---\n# Written by gpuhost's kata-manager, which replaces and removes it.\n";
constexpr std::string_view kPluginHeader = "---\n# Written by gpuhost's sandbox-device-plugin";

struct Class {
  const char* kind;
  pci::Kind functions;
  const char* file;
};
constexpr Class kClasses[] = {
    {"nvidia.com/pgpu", pci::Kind::kGpu, "/var/run/cdi/nvidia.com-pgpu.yaml"},
    {"nvidia.com/nvswitch", pci::Kind::kNvSwitch, "/var/run/cdi/nvidia.com-nvswitch.yaml"}};

std::string OwnerOf(const HostFs& fs, const std::string& text) {
  if (service::IsAlive(fs, kPlugin) || text.starts_with(kPluginHeader)) return kPlugin;
  if (text.starts_with(kHeader)) return "us";
  return text.empty() ? "" : "somebody else";
}

// Node paths in a file of somebody else, by the key that stands before each.
std::vector<std::string> NodesIn(const std::string& text) {
  constexpr std::string_view kKey = "/dev/vfio/";
  std::vector<std::string> nodes;
  for (size_t at = text.find(kKey); at != std::string::npos; at = text.find(kKey, at + 1)) {
    nodes.push_back(text.substr(at, text.find_first_of("\"', \r\n}", at) - at));
  }
  return nodes;
}

// Whether a node has several names in a file as the CDI library writes it: a list of devices, each
// with its nodes before its name or behind it.
bool HasAliases(const std::string& text) {
  std::map<std::string, std::set<std::string>> names;  // by node
  std::string name, node;
  size_t indent = std::string::npos;  // of the list
  std::istringstream lines(text);
  bool inside = false;
  const auto value = [](const std::string& line) {
    const size_t begin = line.find(':') + 1;
    std::string word = line.substr(begin);
    std::erase_if(word, [](char c) { return c == ' ' || c == '"' || c == '\'' || c == '\r'; });
    return word;
  };
  const auto take = [&] {
    if (!name.empty() && !node.empty()) names[node].insert(name);
    name.clear();
    node.clear();
  };
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("devices:")) inside = true;
    const size_t begin = line.find_first_not_of(' ');
    if (!inside || begin == std::string::npos) continue;
    if (line[begin] == '-' && begin <= indent) {
      take();
      indent = begin;
    }
    const size_t word = std::min(line.find_first_not_of(" -"), line.size());
    const bool is_path = line.compare(word, 5, "path:") == 0;
    if (line.compare(word, 5, "name:") == 0) name = value(line);
    if (is_path && value(line) != "/dev/vfio/vfio") node = value(line);
  }
  take();
  return std::ranges::any_of(names, [](const auto& entry) { return entry.second.size() > 1; });
}

absl::Status CheckNodes(const HostFs& fs, const std::string& path,
                        const std::vector<std::string>& nodes) {
  for (const std::string& node : nodes) {
    if (fs.Exists(node)) continue;
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} names {}, which is not there; restart whoever writes the file", path, node);
  }
  return absl::OkStatus();
}

absl::Status Write(HostFs& fs, const Class& which, const std::optional<std::string>& now,
                   const std::vector<CdiDevice>& devices, Drift* drift) {
  std::optional<std::string> wanted;
  if (!devices.empty()) wanted = RenderCdi(which.kind, devices);
  if (now == wanted) {
    if (drift != nullptr) drift->Seen(which.file, now);
    return absl::OkStatus();
  }
  if (drift != nullptr) GPUHOST_TRY(drift->Check(which.file, now));
  if (wanted) GPUHOST_TRY(fs.MakeDirectories(kDirectory));
  GPUHOST_TRY(wanted ? fs.WriteFileAtomic(which.file, *wanted, 0644) : fs.Remove(which.file));
  if (drift != nullptr) drift->Wrote(which.file, now, wanted);
  return absl::OkStatus();
}

}  // namespace

std::vector<CdiDevice> CdiDevicesOf(const HostFs& fs, const std::vector<pci::Device>& devices,
                                    pci::Kind kind) {
  std::map<uint32_t, std::string> cdevs, groups;  // nodes
  std::map<uint32_t, std::vector<uint32_t>> cdevs_of_group;
  const bool iommufd = fs.Exists("/dev/iommu");
  for (const pci::Device& device : devices) {
    if (device.kind() != kind || device.is_virtual_function || !device.BoundToVfio()) continue;
    const std::string cdev =
        device.vfio_cdev ? fmt::format("/dev/vfio/devices/vfio{}", *device.vfio_cdev) : "";
    if (iommufd && !cdev.empty() && fs.Exists(cdev)) {
      cdevs[*device.vfio_cdev] = cdev;
      if (device.iommu_group) cdevs_of_group[*device.iommu_group].push_back(*device.vfio_cdev);
    } else if (device.iommu_group) {
      const std::string node = fmt::format("/dev/vfio/{}", *device.iommu_group);
      if (fs.Exists(node)) groups[*device.iommu_group] = node;
    }
  }
  std::vector<CdiDevice> named;
  std::set<std::string> names;
  const auto name = [&](const std::string& text, const std::string& node) {
    if (names.insert(text).second) named.push_back({text, node});
  };
  for (const auto& [number, node] : cdevs) name(std::to_string(number), node);
  for (const auto& [number, node] : cdevs) name(fmt::format("vfio{}", number), node);
  for (const auto& [group, node] : groups) name(std::to_string(group), node);
  for (const auto& [group, numbers] : cdevs_of_group) {
    if (numbers.size() == 1) name(std::to_string(group), cdevs[numbers[0]]);
  }
  return named;
}

std::string RenderCdi(const std::string& kind, const std::vector<CdiDevice>& devices) {
  std::string text(kHeader);
  text += fmt::format("cdiVersion: 0.5.0\nkind: {}\ndevices:\n", kind);
  for (const CdiDevice& device : devices) {
    text += fmt::format(
        "    - name: \"{}\"\n      containerEdits:\n        deviceNodes:\n"
        "            - path: {}\n",
        device.name, device.node);
  }
  return text + "containerEdits: {}\n";
}

std::vector<CdiOutcome> LookAfterCdi(HostFs& fs, CdiMode mode, Drift* drift) {
  std::vector<CdiOutcome> outcomes;
  if (mode == CdiMode::kOff) return outcomes;
  const auto scanned = pci::ScanNvidia(fs);
  for (const Class& which : kClasses) {
    const auto read = ReadIfThere(fs, which.file);
    const std::optional<std::string> now = read.ok() ? *read : std::nullopt;
    const std::string text = now.value_or("");
    CdiOutcome outcome{.kind = which.kind, .owner = OwnerOf(fs, text), .devices = {}, .status = {}};
    const bool ours = outcome.owner == "us" || outcome.owner.empty();
    if (!ours || mode == CdiMode::kVerify) {
      for (const std::string& node : NodesIn(text)) outcome.devices.push_back({"", node});
      outcome.status = CheckNodes(fs, which.file, NodesIn(text));
    } else if (scanned.ok() || absl::IsNotFound(scanned.status())) {
      outcome.devices =
          CdiDevicesOf(fs, scanned.value_or(std::vector<pci::Device>()), which.functions);
      outcome.owner = outcome.devices.empty() ? "" : "us";
      outcome.status = Write(fs, which, now, outcome.devices, drift);
    } else {
      outcome.status = scanned.status();
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

std::optional<std::string> LegacyCdi(const HostFs& fs) {
  const std::string text = fs.Read(kClasses[0].file).value_or("");
  if (OwnerOf(fs, text) != "somebody else" || !HasAliases(text)) return std::nullopt;
  return kClasses[0].file;
}

absl::Status RemoveCdi(HostFs& fs) {
  for (const Class& which : kClasses) {
    if (fs.Read(which.file).value_or("").starts_with(kHeader)) GPUHOST_TRY(fs.Remove(which.file));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
