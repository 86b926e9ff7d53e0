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
  kVfsEnabled,
  kGroupNotViable,
  kInUse,
  kUsersUnknown,
  kReserved,
  kNotOurs,
};

// Why nothing of a unit may be written.
struct Blocker {
  Obstacle obstacle;
  pci::Bdf bdf;
  std::string text;  // cause and remedy
};

std::string_view ToString(Obstacle obstacle);  // "in-use"

// All that stands in the way of doing `steps` to a cluster.
std::vector<Blocker> FindBlockers(const Snapshot& seen, const Request& request,
                                  const Cluster& cluster, const std::vector<Step>& steps);

}  // namespace gpuhost::vfio
