// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/plan.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr absl::StatusCode kRefused = absl::StatusCode::kFailedPrecondition;

absl::Status InUse(const std::string& in_use_by) {
  return Error(kRefused, "in use by {}; end that first", in_use_by);
}

}  // namespace

std::string Step::Path() const {
  switch (action) {
    case Action::kSetOverride:
    case Action::kClearOverride:
      return pci::SysfsPath(bdf, "driver_override");
    case Action::kUnbind:
      return fmt::format("/sys/bus/pci/drivers/{}/unbind", driver);
    case Action::kBind:
      return fmt::format("/sys/bus/pci/drivers/{}/bind", driver);
    case Action::kStayAwake:
      return pci::SysfsPath(bdf, "power/control");
  }
  return "";
}

std::string Step::Text() const {
  switch (action) {
    case Action::kSetOverride:
      return driver;
    case Action::kClearOverride:
      return "\n";
    case Action::kUnbind:
    case Action::kBind:
      return bdf.ToString();
    case Action::kStayAwake:
      return "on";
  }
  return "";
}

std::string ToString(const Step& step) {
  const std::string text = step.Text();
  return fmt::format("write '{}' to {}", text == "\n" ? "" : text, step.Path());
}

absl::StatusOr<std::vector<Step>> PlanBind(const pci::Device& device, std::string_view driver,
                                           const std::string& in_use_by) {
  if (device.vendor != pci::kNvidia) return Error(kRefused, "is no NVIDIA device; left alone");
  if (!device.iommu_group) {
    return Error(
        kRefused,
        "has no IOMMU group; switch the IOMMU on in the firmware and with intel_iommu=on or "
        "amd_iommu=on on the kernel command line");
  }
  if (!device.driver_override) {
    return Error(kRefused,
                 "has no driver_override; this needs Linux 3.16 or newer and a writable "
                 "/sys");
  }
  std::vector<Step> steps;
  if (device.driver_override != driver) {
    steps.push_back({Action::kSetOverride, device.bdf, std::string(driver)});
  }
  if (device.driver != driver) {
    if (!in_use_by.empty()) return InUse(in_use_by);
    if (device.driver) steps.push_back({Action::kUnbind, device.bdf, *device.driver});
    steps.push_back({Action::kBind, device.bdf, std::string(driver)});
  }
  // Binding itself makes vfio-pci write "auto" there.
  const bool may_sleep = device.driver != driver || device.power_control == "auto";
  if (may_sleep) steps.push_back({Action::kStayAwake, device.bdf, ""});
  return steps;
}

absl::StatusOr<std::vector<Step>> PlanUnbind(const pci::Device& device,
                                             const std::string& in_use_by) {
  if (!device.BoundToVfio()) return std::vector<Step>();
  if (!in_use_by.empty()) return InUse(in_use_by);
  std::vector<Step> steps;
  if (device.driver_override) steps.push_back({Action::kClearOverride, device.bdf, ""});
  steps.push_back({Action::kUnbind, device.bdf, *device.driver});
  return steps;
}

}  // namespace gpuhost::vfio
