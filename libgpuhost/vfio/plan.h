// SPDX-License-Identifier: Apache-2.0
//
// What binding and unbinding write, as data. Everything here is a pure function.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

inline constexpr std::string_view kVfioPci = "vfio-pci";

enum class Action {
  kSetOverride,    // driver_override := driver, so that only this driver matches
  kClearOverride,  // driver_override := none
  kUnbind,         // from `driver`
  kBind,           // to `driver`
  kStayAwake,      // power/control := on; vfio-pci else puts an idle GPU into D3, where nobody can
                   // read its mode and from which some never wake
};

// One write to sysfs. Source: Documentation/ABI/testing/sysfs-bus-pci.
struct Step {
  Action action;
  pci::Bdf bdf;
  std::string driver;  // empty for kClearOverride and kStayAwake

  std::string Path() const;
  std::string Text() const;  // what is written there
  bool operator==(const Step&) const = default;
};

std::string ToString(const Step& step);  // "write 'vfio-pci' to /sys/..."

// Binds `device` to `driver`; no steps when everything is there already. kFailedPrecondition,
// naming the remedy: no IOMMU group, no driver_override attribute, not a device of NVIDIA, or in
// use while another driver holds it. `in_use_by`: see vfio::ToString(holders).
absl::StatusOr<std::vector<Step>> PlanBind(const pci::Device& device, std::string_view driver,
                                           const std::string& in_use_by);

// Takes `device` from its VFIO driver and leaves it without one. No steps when no VFIO driver has
// it: other drivers' devices are not ours to unbind. kFailedPrecondition while it is in use.
absl::StatusOr<std::vector<Step>> PlanUnbind(const pci::Device& device,
                                             const std::string& in_use_by);

}  // namespace gpuhost::vfio
