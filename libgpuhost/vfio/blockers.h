// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/vfio/observe.h"
#include "libgpuhost/vfio/request.h"
#include "libgpuhost/vfio/step.h"
#include "libgpuhost/vfio/units.h"

namespace gpuhost::vfio {

enum class Obstacle {
  kNotThere,
  kNoGpu,  // neither GPU nor NVSwitch, or a virtual function
  kDenied,
  kNoIommu,
  kNoIommuMode,  // VFIO's unsafe mode without IOMMU
  kLocked,       // in the kernel, for somebody else
  kNoOverride,
  kNoVariant,  // the generic driver would hand out a part of it only
  kConsole,    // somebody's screen
  kVfsEnabled,
  kGroupNotViable,
  kInUse,
  kUsersUnknown,
  kReserved,
  kUnusable,  // for any driver of the host
  kNotOurs,
};

// Why nothing of a unit may be written.
struct Blocker {
  Obstacle obstacle;
  pci::Bdf bdf;
  std::string text;  // cause and remedy
};

std::string_view ToString(Obstacle obstacle);  // "in-use"

// Whether VFIO hands out a group that `device` is in, too: it has no driver, a VFIO driver, or one
// that leaves DMA to others. The driver alone decides, and not the class: an NVSwitch is a bridge
// by its class, and belongs to nvidia-nvswitch. For the function that is handed out itself this
// says nothing.
// Source: iommu_device_use_default_domain in Linux, drivers/iommu/iommu.c, from 5.19 on; drivers
// with driver_managed_dma are those of VFIO, pci-stub and pcieport (drivers/pci/{pci-stub,
// pcie/portdrv*}.c). Before it any driver of a bridge was let be.
bool IsViableBeside(const pci::Device& device);

// What is lost by steps that nothing stands in the way of, for people.
std::vector<std::string> FindLosses(const Snapshot& seen, const Cluster& cluster,
                                    const std::vector<Step>& steps);

// All that stands in the way of doing `steps` to a cluster.
std::vector<Blocker> FindBlockers(const Snapshot& seen, const Request& request,
                                  const Cluster& cluster, const std::vector<Step>& steps);

}  // namespace gpuhost::vfio
