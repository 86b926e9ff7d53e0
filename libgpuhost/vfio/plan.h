// SPDX-License-Identifier: Apache-2.0
//
// What binding and unbinding write, as data. Everything here is a pure function.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "libgpuhost/vfio/blockers.h"
#include "libgpuhost/vfio/observe.h"
#include "libgpuhost/vfio/request.h"
#include "libgpuhost/vfio/step.h"

namespace gpuhost::vfio {

// Functions that can only change hands together: those of one board and of one IOMMU group.
struct Unit {
  Goal goal;
  std::vector<pci::Bdf> leads;         // the GPUs and NVSwitches it is about
  std::vector<pci::Device> functions;  // all that are written, as they were seen
  std::vector<Step> steps;             // in order; none: everything is as wanted
  std::vector<std::string> modules;    // whose drivers the steps need
  std::vector<Blocker> blockers;       // any: do none of the steps
  std::string note;                    // why it is left where it is, where that is nobody's fault
  std::vector<std::string> losses;     // by the steps, for people: "…: the screen freezes"

  // OK, or the blockers' texts: kNotFound, kInvalidArgument or kFailedPrecondition.
  absl::Status Admission() const;
};

// One unit per board or group, sorted by address; a device that was asked for by address and cannot
// be planned is a unit of its own with a blocker.
std::vector<Unit> Plan(const Snapshot& seen, const Request& request);

}  // namespace gpuhost::vfio
