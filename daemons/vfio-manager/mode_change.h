// SPDX-License-Identifier: Apache-2.0
//
// What cc-manager's status document means for binding.
#pragma once

#include <map>
#include <string>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::vfio_manager {

// The devices whose mode a living cc-manager is changing now; the text says so. Nobody else may
// bind or unbind them meanwhile.
std::map<pci::Bdf, std::string> DevicesInModeChange(const HostFs& fs);

// The devices that cc-manager says nobody may be given, and why; also when it has died since.
std::map<pci::Bdf, std::string> UnusableDevices(const HostFs& fs);

// Whether the node is, or is being brought, into protected PCIe, where guests get NVSwitches too.
bool WantsNvSwitches(const HostFs& fs);

}  // namespace gpuhost::vfio_manager
