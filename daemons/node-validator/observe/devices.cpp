// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/devices.h"

#include <algorithm>
#include <sstream>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/names.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::node_validator {
namespace {

uint32_t Word(const std::string& bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && i < bytes.size(); ++i) {
    value |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return value;
}

// Walks the extended capabilities. Source: PCI Express Base Specification 5.0, 7.7.8.
Bridge ReadBridge(const Tree& tree, const pci::Bdf& bdf) {
  constexpr uint32_t kAcs = 0x000d;
  constexpr off_t kControl = 6;
  Bridge bridge{.bdf = bdf, .acs_known = false, .acs_control = std::nullopt};
  const std::string path = pci::SysfsPath(bdf, "config");
  off_t offset = 0x100;
  for (int i = 0; i < 480 && offset >= 0x100; ++i) {
    const auto header = tree.ReadAt(path, offset, 4);
    if (!header.ok()) return bridge;
    bridge.acs_known = true;
    const uint32_t word = Word(*header);
    if (word == 0 || word == 0xffffffff) return bridge;
    if ((word & 0xffff) == kAcs) {
      const auto control = tree.ReadAt(path, offset + kControl, 2);
      if (control.ok()) bridge.acs_control = static_cast<uint16_t>(Word(*control));
      return bridge;
    }
    offset = word >> 20 & 0xffc;
  }
  return bridge;
}

// Lines of `resource`: start, end and flags of each BAR; a 64-bit one takes two.
std::optional<uint64_t> ReadMemoryBar(const Tree& tree, const pci::Device& device) {
  const auto text = tree.Read(device.SysfsPath("resource"));
  if (!text.ok()) return std::nullopt;
  constexpr uint64_t kMemory64 = 0x00100000;
  std::istringstream lines(*text);
  std::vector<std::array<uint64_t, 3>> bars;
  for (std::string start, end, flags; lines >> start >> end >> flags;) {
    bars.push_back({ParsePrefixedHex(start).value_or(0), ParsePrefixedHex(end).value_or(0),
                    ParsePrefixedHex(flags).value_or(0)});
  }
  if (bars.size() < 2) return std::nullopt;
  const size_t second = (bars[0][2] & kMemory64) != 0 ? 2 : 1;
  if (second >= bars.size()) return std::nullopt;
  const auto [start, end, flags] = bars[second];
  return start == 0 || end <= start ? 0 : end - start + 1;
}

void AddNode(const Tree& tree, GpuFacts& gpu) {
  if (!gpu.device.vfio_cdev) return;
  const std::string name = fmt::format("vfio{}", *gpu.device.vfio_cdev);
  gpu.node = "/dev/vfio/devices/" + name;
  const auto entry = tree.Look(gpu.node);
  const std::string numbers =
      tree.ReadLine(gpu.device.SysfsPath(fmt::format("vfio-dev/{}/dev", name))).value_or("");
  if (!entry.ok()) {
    gpu.node_present = entry.status();
  } else if (entry->kind != Kind::kCharacterDevice || entry->device != numbers) {
    gpu.node_present = Error(absl::StatusCode::kFailedPrecondition, "{} is {} {}, not {}", gpu.node,
                             ToString(entry->kind), entry->device, numbers);
  }
}

GpuFacts ReadGpu(const Tree& tree, const pci::Device& device) {
  GpuFacts gpu{.device = device, .model = pci::ModelName(device.device)};
  const auto line = [&](std::string_view name) {
    return tree.ReadLine(device.SysfsPath(name)).value_or("");
  };
  const auto vendor = tree.ReadAt(device.SysfsPath("config"), 0, 2);
  gpu.answers = !vendor.ok() || *vendor != "\xff\xff";
  if (device.iommu_group) {
    const std::string group = fmt::format("/sys/kernel/iommu_groups/{}", *device.iommu_group);
    gpu.group_type = tree.ReadLine(group + "/type").value_or("");
    gpu.group_name = tree.ReadLine(group + "/name").value_or("");
    gpu.neighbours = pci::ReadGroup(tree.fs(), *device.iommu_group);
    std::erase_if(gpu.neighbours, [&](const pci::Device& d) { return d.bdf == device.bdf; });
  }
  for (const pci::Bdf& bdf : device.bridges) gpu.bridges.push_back(ReadBridge(tree, bdf));
  gpu.memory_bar = ReadMemoryBar(tree, device);
  gpu.resizable = tree.Exists(device.SysfsPath("resource1_resize"));
  gpu.speed = line("current_link_speed");
  gpu.max_speed = line("max_link_speed");
  gpu.width = line("current_link_width");
  gpu.max_width = line("max_link_width");
  AddNode(tree, gpu);
  return gpu;
}

// The registers say it best; they cannot be read by everybody, and not while a guest has them.
void AddModes(const Tree& tree, Questions& questions, Devices& devices) {
  const auto document = service::ReadStatusDocument(tree.fs(), "cc-manager");
  if (document.ok()) {
    devices.wanted_mode = document->target;
    devices.manager_phase = document->phase;
    devices.manager_reason = document->reason;
  }
  for (GpuFacts& gpu : devices.gpus) {
    const std::string bdf = gpu.device.bdf.ToString();
    gpu.mode = questions.Ask(Question::kGpuMode, bdf);
    gpu.mode_source = "registers of " + bdf;
    if (!document.ok()) continue;
    for (const service::DeviceStatus& status : document->devices) {
      if (status.bdf != bdf) continue;
      gpu.pending = status.pending;
      if (gpu.mode.ok() || status.state.empty()) continue;
      gpu.mode = status.state;
      gpu.mode_source = "/run/nvidia/gpuhost/cc-manager.json";
    }
  }
}

}  // namespace

Devices ObserveDevices(const Tree& tree, Questions& questions) {
  Devices devices;
  devices.scanned = pci::ScanNvidia(tree.fs());
  if (devices.scanned.ok()) {
    for (const pci::Device& device : *devices.scanned) {
      if (device.kind() == pci::Kind::kCompanion || device.is_virtual_function) continue;
      devices.gpus.push_back(ReadGpu(tree, device));
    }
  }
  devices.groups =
      tree.List("/sys/kernel/iommu_groups").value_or(std::vector<std::string>()).size();
  devices.iommus = tree.List("/sys/class/iommu").value_or(std::vector<std::string>());
  devices.iommufd = LookAtDevice(tree, &questions, "/dev/iommu");
  devices.noiommu_mode = tree.ReadLine("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
  for (const auto& name : tree.List("/dev/vfio").value_or(std::vector<std::string>())) {
    devices.noiommu_nodes = devices.noiommu_nodes || name.starts_with("noiommu-");
  }
  devices.dma_entry_limit = ParseDecimal(
      tree.ReadLine("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit").value_or(""));
  AddModes(tree, questions, devices);
  return devices;
}

}  // namespace gpuhost::node_validator
