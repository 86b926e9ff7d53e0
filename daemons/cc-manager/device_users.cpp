// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/device_users.h"

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/config_space.h"
#include "libgpuhost/vfio/hold.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::cc_manager {
namespace {

// Whether a device on vfio-pci works for somebody, although no process is seen that has it open:
// those of other containers are hidden where /proc is not the host's. Where the kernel does not
// tell (see vfio::IsEnabled), bus mastering does: VFIO lets a device be bus master only while it is
// open, but firmware may have left it so before, and then nobody is a user for ever.
std::string HiddenUser(HostFs& fs, const pci::Device& device) {
  if (!device.BoundToVfio()) return "";
  if (const auto enabled = vfio::IsEnabled(fs, device); enabled.ok()) {
    return std::string(*enabled ? kHiddenUser : "");
  }
  if (device.power_state && *device.power_state != "D0") return "";
  const auto command = pci::ConfigSpace(fs, device.bdf).Read16(pci::kCommand);
  const bool master = command.ok() && *command != 0xffff && (*command & pci::kCommandMaster) != 0;
  return master
             ? "an unknown process, for it is bus master and its attribute enable cannot be read "
               "(if nobody uses it, unbind it and bind it again)"
             : "";
}

}  // namespace

void LookForUsers(HostFs& fs, std::span<cc::Observation> seen) {
  std::vector<pci::Device> devices;
  for (const cc::Observation& one : seen) devices.push_back(one.device);
  vfio::Holders holders = vfio::FindHolders(fs, devices);
  // Our number where that /proc counts: it may be the host's, and this a container.
  const auto self = ParseDecimal(fs.LinkName("/proc/self").value_or(""), INT32_MAX);
  for (cc::Observation& one : seen) {
    auto& users = holders.by_device[one.device.bdf];
    std::erase_if(users, [&](const vfio::Holder& holder) {
      return self && holder.pid == static_cast<int>(*self);
    });
    one.in_use_by = users.empty() ? HiddenUser(fs, one.device) : vfio::ToString(users);
    if (one.in_use_by.empty() && !holders.complete.ok()) {
      one.in_use_by = fmt::format("somebody, perhaps: {}", Text(holders.complete));
    }
  }
}

}  // namespace gpuhost::cc_manager
