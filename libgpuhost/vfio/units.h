// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "libgpuhost/pci/device.h"
#include "libgpuhost/vfio/observe.h"

namespace gpuhost::vfio {

// Functions that belong together, see FindClusters.
struct Cluster {
  std::vector<pci::Device> leads;      // of those that were asked for
  std::vector<pci::Device> functions;  // companions first, GPUs and NVSwitches last
  std::vector<pci::Device> strangers;  // others in their IOMMU groups, of any class
};

// Starts from `leads` and adds all NVIDIA functions of the same slot (audio, USB), those that a
// device link makes depend on them, and those of the same IOMMU group, until nothing is added. What
// `may_take` refuses is not added; in a group it is a stranger, and so are other vendors' devices.
std::vector<Cluster> FindClusters(const Snapshot& seen, const std::vector<pci::Device>& leads,
                                  const std::function<bool(const pci::Device&)>& may_take);

}  // namespace gpuhost::vfio
