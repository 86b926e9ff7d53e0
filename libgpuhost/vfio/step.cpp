// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/step.h"

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

std::string Step::Path() const {
  switch (action) {
    case Action::kOverride:
      return pci::SysfsPath(bdf, "driver_override");
    case Action::kUnbind:
      return fmt::format("/sys/bus/pci/drivers/{}/unbind", value);
    case Action::kBind:
      return fmt::format("/sys/bus/pci/drivers/{}/bind", value);
    case Action::kProbe:
      return "/sys/bus/pci/drivers_probe";
    case Action::kPower:
      return pci::SysfsPath(bdf, "power/control");
    case Action::kD3cold:
      return pci::SysfsPath(bdf, "d3cold_allowed");
  }
  return "";
}

std::string Step::Text() const {
  switch (action) {
    case Action::kOverride:
      return value.empty() ? "\n" : value;
    case Action::kUnbind:
    case Action::kBind:
    case Action::kProbe:
      return bdf.ToString();
    case Action::kPower:
    case Action::kD3cold:
      return value;
  }
  return "";
}

std::string ToString(const Step& step) {
  const std::string text = step.Text();
  return fmt::format("write '{}' to {}", text == "\n" ? "" : text, step.Path());
}

}  // namespace gpuhost::vfio
