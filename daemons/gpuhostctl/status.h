// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/gpu/registers.h"

namespace gpuhost::gpuhostctl {

// One line of `gpuhostctl status`. Empty text: there is none, or it is unknown.
struct Row {
  std::string bdf;
  std::string kind;   // "gpu" or "nvswitch"
  std::string model;  // "H100 PCIe"
  std::string driver;
  std::optional<uint32_t> iommu_group;
  std::string vfio_node;  // "/dev/vfio/devices/vfio0", "/dev/vfio/12"
  std::string mode;       // effective: "on", ...
  std::string pending;    // after the next reset; what cc-manager last knew, or the firmware's word
  std::string in_use_by;
  bool users_known = true;  // otherwise somebody may use it although `in_use_by` is empty
  std::string note;         // what is wrong and what to do
  bool broken = false;      // the device is dead, not merely asleep or without modes
};

// Reads sysfs, BAR0 and cc-manager's status document; writes nothing, unless `ask_firmware`, which
// opens a session with each idle device. kNotFound when the machine has no GPU.
absl::StatusOr<std::vector<Row>> CollectStatus(const gpu::Host& host, bool ask_firmware);

}  // namespace gpuhost::gpuhostctl
