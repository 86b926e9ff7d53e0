// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/probe.h"

#include <algorithm>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/aer.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/blockers.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

// The node is there: in /dev, or, where this program's /dev is a container's, in sysfs.
bool HasNode(const HostFs& fs, const pci::Device& device, Backend backend) {
  if (backend == Backend::kCdev) return true;  // its number was read from sysfs
  return fs.Exists(fmt::format("/sys/class/vfio/{}", *device.iommu_group)) ||
         fs.Exists(fmt::format("/dev/vfio/{}", *device.iommu_group));
}

// The device of the group that keeps it from being given to a virtual machine; empty for none.
std::string Obstacle(const HostFs& fs, const pci::Device& device) {
  const std::string directory = device.SysfsPath("iommu_group/devices");
  for (const std::string& name : fs.List(directory).value_or(std::vector<std::string>())) {
    const auto bdf = pci::Bdf::Parse(name);
    if (!bdf.ok() || *bdf == device.bdf) continue;
    const auto other = pci::ReadDevice(fs, *bdf);
    if (!other.ok() || vfio::IsViableBeside(*other)) continue;
    return fmt::format("{} ({})", name, *other->driver);
  }
  return "";
}

}  // namespace

Problem Probe::Examine(const HostFs& fs, const pci::Device& device, Backend backend, TimePoint now,
                       bool hands_off) {
  if (!HasNode(fs, device, backend)) {
    return {Reason::kNoNode, fmt::format("{} has no device node; bind it again", device.bdf)};
  }
  if (const std::string other = Obstacle(fs, device); !other.empty()) {
    return {Reason::kNotViable, fmt::format("{} shares its IOMMU group with {}, which the host "
                                            "uses; bind that to vfio-pci too",
                                            device.bdf, other)};
  }
  if (device.power_state == "error") {
    return {Reason::kPower,
            fmt::format("{} does not leave its power state; a reboot may help", device.bdf)};
  }
  if (HadFatalError(fs, device)) {
    return {Reason::kFatalError,
            fmt::format("{} had a fatal PCI Express error; bind it again to offer it", device.bdf)};
  }
  if (!Answers(fs, device, now, hands_off)) {
    return {Reason::kNoAnswer,
            fmt::format("{} does not answer, it is off the bus; reset it or reboot", device.bdf)};
  }
  return {};
}

bool Probe::Answers(const HostFs& fs, const pci::Device& device, TimePoint now, bool hands_off) {
  Memory& memory = memory_[device.bdf];
  if (hands_off) {
    memory.answers = true;
    memory.config_read = now;  // and not at once when it is over
    return true;
  }
  // In another state the read would wake it up.
  if (device.power_state != "D0") return memory.answers;
  if (memory.config_read && now - *memory.config_read < kConfigInterval) return memory.answers;
  memory.config_read = now;
  const auto ids = fs.ReadAt(device.SysfsPath("config"), 0, 4);
  memory.answers = !ids.ok() || *ids != "\xff\xff\xff\xff";
  return memory.answers;
}

bool Probe::HadFatalError(const HostFs& fs, const pci::Device& device) {
  const auto count = pci::ReadAerErrors(fs, device.bdf).fatal;
  if (!count) return false;
  auto& first = memory_[device.bdf].fatal_errors;
  if (!first) first = count;
  return *count > *first;
}

void Probe::Retain(const std::vector<pci::Device>& present) {
  std::erase_if(memory_, [&](const auto& entry) {
    return std::ranges::find(present, entry.first, &pci::Device::bdf) == present.end();
  });
}

}  // namespace gpuhost::sandbox_device_plugin
