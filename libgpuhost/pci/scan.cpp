// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/scan.h"

#include <algorithm>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/lock_owner.h"

namespace gpuhost::pci {
namespace {

constexpr std::string_view kDevices = "/sys/bus/pci/devices";

absl::StatusOr<uint64_t> ReadHex(const HostFs& fs, const std::string& path, uint64_t max) {
  GPUHOST_ASSIGN(const std::string text, fs.ReadAttribute(path));
  const auto value = ParsePrefixedHex(text, max);
  if (!value) {
    return Error(absl::StatusCode::kDataLoss, "read {}: '{}' is not a PCI id", path, text);
  }
  return *value;
}

template <typename T>
std::optional<T> IfThere(absl::StatusOr<T> value) {
  return value.ok() ? std::optional<T>(*std::move(value)) : std::nullopt;
}

std::optional<int> ReadNumaNode(const HostFs& fs, const Bdf& bdf) {
  const auto node = ParseDecimal(fs.ReadAttribute(SysfsPath(bdf, "numa_node")).value_or(""), 4096);
  return node ? std::optional<int>(static_cast<int>(*node)) : std::nullopt;
}

std::optional<uint32_t> ReadIommuGroup(const HostFs& fs, const Bdf& bdf) {
  const auto group =
      ParseDecimal(fs.LinkName(SysfsPath(bdf, "iommu_group")).value_or(""), UINT32_MAX);
  return group ? std::optional<uint32_t>(static_cast<uint32_t>(*group)) : std::nullopt;
}

// A directory vfio-dev/vfioN exists from kernel 6.1 on; only with its `dev` attribute is there a
// character device (CONFIG_VFIO_DEVICE_CDEV).
void ReadVfio(const HostFs& fs, Device& device) {
  const std::string directory = device.SysfsPath("vfio-dev");
  for (const std::string& name : fs.List(directory).value_or(std::vector<std::string>())) {
    if (!name.starts_with("vfio")) continue;
    const auto number = ParseDecimal(std::string_view(name).substr(4), UINT32_MAX);
    if (!number) continue;
    device.vfio_device = true;
    if (!fs.Exists(fmt::format("{}/{}/dev", directory, name))) continue;
    device.vfio_cdev = static_cast<uint32_t>(*number);
    return;
  }
}

// From the path behind the bus's link: ../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0.
std::vector<Bdf> ReadBridges(const HostFs& fs, const Bdf& bdf) {
  std::vector<Bdf> bridges;
  const std::string path = fs.ReadLink(SysfsPath(bdf)).value_or("");
  for (size_t start = 0, end; start < path.size(); start = end + 1) {
    end = std::min(path.find('/', start), path.size());
    const auto above = Bdf::Parse(std::string_view(path).substr(start, end - start));
    if (above.ok() && *above != bdf) bridges.push_back(*above);
  }
  return bridges;
}

std::vector<Bdf> ReadConsumers(const HostFs& fs, const Bdf& bdf) {
  constexpr std::string_view kPrefix = "consumer:pci:";
  std::vector<Bdf> consumers;
  for (const std::string& name : fs.List(SysfsPath(bdf)).value_or(std::vector<std::string>())) {
    if (!name.starts_with(kPrefix)) continue;
    const auto consumer = Bdf::Parse(std::string_view(name).substr(kPrefix.size()));
    if (consumer.ok()) consumers.push_back(*consumer);
  }
  return consumers;
}

// The functions among `names`, which are addresses.
std::vector<Device> ReadAll(const HostFs& fs, const std::vector<std::string>& names) {
  std::vector<Device> devices;
  for (const std::string& name : names) {
    const auto bdf = Bdf::Parse(name);
    if (!bdf.ok()) continue;
    if (auto device = ReadDevice(fs, *bdf); device.ok()) devices.push_back(*std::move(device));
  }
  std::ranges::sort(devices, {}, &Device::bdf);
  return devices;
}

}  // namespace

absl::StatusOr<Device> ReadDevice(const HostFs& fs, const Bdf& bdf) {
  Device device{.bdf = bdf};
  const auto id = [&](std::string_view name) { return ReadHex(fs, SysfsPath(bdf, name), 0xffff); };
  GPUHOST_ASSIGN(const uint64_t vendor, id("vendor"));
  GPUHOST_ASSIGN(const uint64_t device_id, id("device"));
  GPUHOST_ASSIGN(const uint64_t class_code, ReadHex(fs, SysfsPath(bdf, "class"), 0xffffff));
  device.vendor = static_cast<uint16_t>(vendor);
  device.device = static_cast<uint16_t>(device_id);
  device.class_code = static_cast<uint32_t>(class_code);
  device.subsystem_vendor = static_cast<uint16_t>(id("subsystem_vendor").value_or(0));
  device.subsystem_device = static_cast<uint16_t>(id("subsystem_device").value_or(0));
  device.driver = IfThere(fs.LinkName(SysfsPath(bdf, "driver")));
  device.iommu_group = ReadIommuGroup(fs, bdf);
  ReadVfio(fs, device);
  device.bridges = ReadBridges(fs, bdf);
  device.numa_node = ReadNumaNode(fs, bdf);
  device.reset_methods = IfThere(fs.ReadAttribute(SysfsPath(bdf, "reset_method")));
  device.power_state = IfThere(fs.ReadAttribute(SysfsPath(bdf, "power_state")));
  device.power_control = IfThere(fs.ReadAttribute(SysfsPath(bdf, "power/control")));
  device.d3cold_allowed = IfThere(fs.ReadAttribute(SysfsPath(bdf, "d3cold_allowed")));
  device.modalias = IfThere(fs.ReadAttribute(SysfsPath(bdf, "modalias")));
  device.consumers = ReadConsumers(fs, bdf);
  device.boot_vga = fs.ReadAttribute(SysfsPath(bdf, "boot_vga")).value_or("") == "1";
  device.is_virtual_function = fs.Exists(SysfsPath(bdf, "physfn"));
  return device;
}

absl::StatusOr<Guarded> ReadGuarded(const HostFs& fs, const Device& device, Duration limit) {
  Guarded guarded;
  // Empty: the kernel offers none.
  const auto read = [&](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
    if (!fs.Exists(device.SysfsPath(name))) return std::optional<std::string>();
    auto text = fs.ReadWithin(limit, device.SysfsPath(name));
    if (text.ok()) return std::optional<std::string>(*std::move(text));
    if (absl::IsNotFound(text.status())) return std::optional<std::string>();
    if (!absl::IsDeadlineExceeded(text.status())) return text.status();
    return Error(absl::StatusCode::kUnavailable,
                 "the kernel keeps it locked for {}; wait for that, or end what it waits for",
                 WhoLocks(fs, device));
  };
  GPUHOST_ASSIGN(guarded.driver_override, read("driver_override"));
  if (guarded.driver_override == "(null)") guarded.driver_override = "";
  GPUHOST_ASSIGN(const auto functions, read("sriov_numvfs"));
  guarded.virtual_functions =
      static_cast<uint32_t>(ParseDecimal(functions.value_or("0"), 0xffff).value_or(0));
  return guarded;
}

absl::StatusOr<std::vector<Device>> ScanNvidia(const HostFs& fs) {
  auto names = fs.ListWith(kDevices, "vendor", "0x10de");
  if (!names.ok()) {
    return Annotate(names.status(), "no PCI bus here; is /sys mounted and readable");
  }
  std::erase_if(*names, [](const std::string& name) { return !Bdf::Parse(name).ok(); });
  return ReadAll(fs, *names);
}

std::vector<Device> ReadGroup(const HostFs& fs, uint32_t group) {
  const auto names = fs.List(fmt::format("/sys/kernel/iommu_groups/{}/devices", group));
  return ReadAll(fs, names.value_or(std::vector<std::string>()));
}

bool HasIommu(const HostFs& fs) {
  const auto groups = fs.List("/sys/kernel/iommu_groups");
  return groups.ok() && !groups->empty();
}

}  // namespace gpuhost::pci
