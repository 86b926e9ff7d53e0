// SPDX-License-Identifier: Apache-2.0
//
// What binding and unbinding write, as data. Everything here is a pure function.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libgpuhost/pci/device.h"
#include "libgpuhost/vfio/observe.h"
#include "libgpuhost/vfio/step.h"

namespace gpuhost::vfio {

enum class Goal {
  kVfio,        // on the VFIO driver that fits it best
  kTaken,       // from the drivers nvidia and nouveau; all others stay as they are
  kDriverless,  // from its VFIO driver; no other
  kDefault,     // the same, and back to the driver it had before, else to what the kernel chooses
  kNvidia,      // the same, and to the driver nvidia
};

// A device by address ("0000:41:00.0") or a kind of device by its ids ("10de:2331").
struct Pattern {
  // kInvalidArgument for any other text.
  static absl::StatusOr<Pattern> Parse(std::string_view text);
  bool Matches(const pci::Device& device) const;

  std::optional<pci::Bdf> bdf;
  uint16_t vendor = 0, device = 0;
};

struct Request {
  Goal goal = Goal::kVfio;
  std::vector<pci::Bdf> devices;  // these alone; empty: all GPUs of the machine
  bool nvswitches = false;        // NVSwitches too
  std::vector<Pattern> allow;     // nothing else; empty: everything
  std::vector<Pattern> deny;
  bool foreign = false;         // unbind also what something else bound to VFIO
  bool keep_awake = true;       // write power settings
  bool leave_released = false;  // devices that were unbound on request stay so
  // Devices that somebody else is changing now, and who.
  std::map<pci::Bdf, std::string> reserved;
};

enum class Obstacle {
  kNotThere,
  kNoGpu,  // neither GPU nor NVSwitch, or a virtual function
  kDenied,
  kNoIommu,
  kNoIommuMode,  // VFIO's unsafe mode without IOMMU
  kNoOverride,
  kVfsEnabled,
  kGroupNotViable,
  kInUse,
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

// Functions that can only change hands together: those of one board and of one IOMMU group.
struct Unit {
  Goal goal;
  std::vector<pci::Bdf> leads;         // the GPUs and NVSwitches it is about
  std::vector<pci::Device> functions;  // all that are written, as they were seen
  std::vector<Step> steps;             // in order; none: everything is as wanted
  std::vector<std::string> modules;    // whose drivers the steps need
  std::vector<Blocker> blockers;       // any: do none of the steps
  std::string note;                    // why it is left as it is, where that is nobody's fault

  // OK, or the blockers' texts: kNotFound, kInvalidArgument or kFailedPrecondition.
  absl::Status Admission() const;
};

// One unit per board or group, sorted by address; a device that was asked for by address and cannot
// be planned is a unit of its own with a blocker.
std::vector<Unit> Plan(const Snapshot& seen, const Request& request);

}  // namespace gpuhost::vfio
