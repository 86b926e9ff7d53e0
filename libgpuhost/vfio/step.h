// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libgpuhost/pci/bdf.h"

namespace gpuhost::vfio {

enum class Action {
  kOverride,  // driver_override := value, so that only this driver matches; empty: none
  kUnbind,    // from driver `value`
  kBind,      // to driver `value`
  kProbe,     // let the kernel choose a driver
  kPower,   // power/control := value; with "auto", which vfio-pci writes, an idle GPU goes into D3,
            // where nobody can read its mode and from which some never wake
  kD3cold,  // d3cold_allowed := value
};

// One write to sysfs. Source: Documentation/ABI/testing/sysfs-bus-pci.
struct Step {
  Action action;
  pci::Bdf bdf;
  std::string value;

  std::string Path() const;
  std::string Text() const;  // what is written there
  // A device may lack power attributes; then it does not sleep either.
  bool IsOptional() const { return action == Action::kPower || action == Action::kD3cold; }
  bool operator==(const Step&) const = default;
};

std::string ToString(const Step& step);  // "write 'vfio-pci' to /sys/..."

}  // namespace gpuhost::vfio
