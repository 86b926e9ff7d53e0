// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/observe.h"

#include <algorithm>

#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "libgpuhost/vfio/alias.h"
#include "libgpuhost/vfio/modules.h"

namespace gpuhost::vfio {
namespace {

// Whoever has a device locked for longer than this is waiting for somebody.
constexpr Duration kLockLimit = std::chrono::seconds(1);

bool HasFrameBuffer(const HostFs& fs) {
  const auto names = fs.List("/sys/class/graphics").value_or(std::vector<std::string>());
  return std::ranges::any_of(names, [](const std::string& name) {
    return name.starts_with("fb") && ParseDecimal(std::string_view(name).substr(2)).has_value();
  });
}

}  // namespace

absl::StatusOr<Snapshot> Observe(const HostFs& fs) {
  Snapshot seen;
  GPUHOST_ASSIGN(seen.devices, pci::ScanNvidia(fs));
  if (seen.devices.empty()) return absl::NotFoundError("no NVIDIA GPU on this machine");
  InParallel(seen.devices.size(), [&](size_t i) {
    seen.devices[i].guarded = pci::ReadGuarded(fs, seen.devices[i], kLockLimit);
  });
  // A kernel without such a file has no variant drivers.
  const auto read = ReadAliases(fs);
  seen.aliases = read.status();
  const auto aliases = read.value_or(std::vector<Alias>());
  seen.kernel = fs.ReadAttribute("/proc/sys/kernel/osrelease").value_or("");
  seen.shows_console = HasFrameBuffer(fs);
  std::map<std::string, std::string> driver_of;
  for (const pci::Device& device : seen.devices) {
    if (device.iommu_group && !seen.groups.contains(*device.iommu_group)) {
      const std::string path = fmt::format("/sys/kernel/iommu_groups/{}/name", *device.iommu_group);
      seen.groups[*device.iommu_group] = {fs.ReadAttribute(path).value_or(""),
                                          pci::ReadGroup(fs, *device.iommu_group)};
    }
    const std::string module = BestModule(device.modalias.value_or(""), aliases);
    if (!driver_of.contains(module)) driver_of[module] = DriverOf(fs, module);
    const bool knows_better =
        IsGeneric(module) && device.BoundToVfio() && device.driver != driver_of[module];
    seen.vfio_drivers[device.bdf] =
        knows_better ? Driver{*device.driver, *device.driver} : Driver{driver_of[module], module};
  }
  seen.holders = FindHolders(fs, seen.devices);
  const auto drivers = fs.List("/sys/bus/pci/drivers").value_or(std::vector<std::string>());
  seen.drivers = {drivers.begin(), drivers.end()};
  seen.records = ReadRecords(fs);
  return seen;
}

}  // namespace gpuhost::vfio
