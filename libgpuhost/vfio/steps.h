// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "libgpuhost/vfio/observe.h"
#include "libgpuhost/vfio/request.h"
#include "libgpuhost/vfio/step.h"
#include "libgpuhost/vfio/units.h"

namespace gpuhost::vfio {

struct Steps {
  std::vector<Step> steps;
  std::vector<std::string> modules;  // whose drivers they need
};

// The writes that bring a cluster to the goal of the request; none when it is there. Binding takes
// companions first, so that the group is viable when its GPU appears; unbinding takes them last.
Steps PlanSteps(const Snapshot& seen, const Request& request, const Cluster& cluster);

// Whether one of them gives a device another driver.
bool Moves(const std::vector<Step>& steps);

// Whether an unbind leaves it where it is, on the VFIO driver that something else bound it to, and
// only puts back our settings.
bool StaysWithOthers(const Snapshot& seen, const Request& request, const pci::Device& device);

// Whether the request is to give devices back to ordinary drivers.
bool Returns(Goal goal);

}  // namespace gpuhost::vfio
