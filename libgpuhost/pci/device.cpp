// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {

Kind Device::kind() const {
  if (vendor != kNvidia) return Kind::kForeign;
  switch (class_code >> 8) {
    case 0x0300:
    case 0x0302:
      return Kind::kGpu;
    case 0x0680:
      return Kind::kNvSwitch;
    default:
      return Kind::kCompanion;
  }
}

bool Device::IsBridge() const { return class_code >> 8 == 0x0600 || class_code >> 8 == 0x0604; }

bool Device::BoundToVfio() const { return driver && (vfio_device || IsVfioDriver(*driver)); }

bool IsVfioDriver(std::string_view driver) {
  // All of them end in this name: vfio-pci, nvgrace_gpu_vfio_pci.
  return driver.ends_with("vfio-pci") || driver.ends_with("vfio_pci");
}

std::string Device::SysfsPath(std::string_view attribute) const {
  return pci::SysfsPath(bdf, attribute);
}

std::string SysfsPath(const Bdf& bdf, std::string_view attribute) {
  return fmt::format("/sys/bus/pci/devices/{}{}{}", bdf, attribute.empty() ? "" : "/", attribute);
}

}  // namespace gpuhost::pci
