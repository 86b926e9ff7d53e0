// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/hold.h"

#include <fcntl.h>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {

absl::Status Hold::Take(const HostFs& fs, const pci::Device& device) {
  if (!device.iommu_group) return absl::NotFoundError("it has no IOMMU group");
  if (groups_.contains(*device.iommu_group)) return absl::OkStatus();
  const std::string path = fmt::format("/dev/vfio/{}", *device.iommu_group);
  auto group = open_ ? open_(fs, path) : fs.Open(path, O_RDONLY);
  if (!group.ok()) return group.status();
  groups_.emplace(*device.iommu_group, *std::move(group));
  return absl::OkStatus();
}

absl::StatusOr<bool> IsEnabled(const HostFs& fs, const pci::Device& device) {
  const std::string path = device.SysfsPath("enable");
  GPUHOST_ASSIGN(const std::string text, fs.ReadAttribute(path));
  const auto count = ParseDecimal(text, INT32_MAX);
  if (count) return *count > 0;
  return Error(absl::StatusCode::kDataLoss, "read {}: '{}' is no number", path, text);
}

}  // namespace gpuhost::vfio
