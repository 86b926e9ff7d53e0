// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/mode_change.h"

#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

constexpr std::string_view kCcManager = "cc-manager";

}  // namespace

std::map<pci::Bdf, std::string> DevicesInModeChange(const HostFs& fs) {
  std::map<pci::Bdf, std::string> devices;
  const auto document = service::ReadStatusDocument(fs, kCcManager);
  const bool changing =
      document.ok() && (document->phase == "withdrawing" || document->phase == "arming" ||
                        document->phase == "resetting");
  if (!changing || !service::IsAlive(fs, kCcManager)) return devices;
  for (const service::DeviceStatus& device : document->devices) {
    const auto bdf = pci::Bdf::Parse(device.bdf);
    if (!bdf.ok()) continue;
    devices[*bdf] =
        fmt::format("cc-manager is {} for mode {}; wait for it", document->phase, document->target);
  }
  return devices;
}

std::map<pci::Bdf, std::string> UnusableDevices(const HostFs& fs) {
  std::map<pci::Bdf, std::string> devices;
  const auto document = service::ReadStatusDocument(fs, kCcManager);
  if (!document.ok()) return devices;
  for (const service::DeviceStatus& device : document->devices) {
    const auto bdf = pci::Bdf::Parse(device.bdf);
    if (bdf.ok() && !device.unusable.empty()) devices[*bdf] = device.unusable;
  }
  return devices;
}

bool WantsNvSwitches(const HostFs& fs) {
  const auto document = service::ReadStatusDocument(fs, kCcManager);
  return document.ok() && document->target == "ppcie";
}

}  // namespace gpuhost::vfio_manager
