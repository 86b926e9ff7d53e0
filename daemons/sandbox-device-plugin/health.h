// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/sandbox-device-plugin/inventory.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::sandbox_device_plugin {

// Why a unit is unhealthy, for metrics and logs. A unit in use by a virtual machine is healthy.
enum class Reason {
  kNone,
  kGone,         // off the bus, or no longer on a driver of VFIO's
  kNoNode,       // its device node is missing
  kNotViable,    // another device of its IOMMU group is on a driver of the host
  kNoAnswer,     // configuration space reads all ones: off the bus although it is listed
  kFatalError,   // PCI Express reported a fatal error
  kPower,        // its power state could not be changed
  kModeChange,   // cc-manager withdraws it
  kUnusable,     // cc-manager says that nobody may use it
  kOpen,         // somebody has it open whom the kubelet does not know
  kUnseen,       // it was used, and whether somebody has it open cannot be seen
  kResetFailed,  // after its last user
  kCheckpoint,   // the kubelet would give a container other nodes than its
  kNoCdi,        // no CDI file names it
  kSettling,     // was unhealthy a moment ago
};
// "driver-or-device-gone", "no-answer", ...; "" for kNone.
std::string_view ToString(Reason reason);

struct Problem {
  Reason reason = Reason::kNone;
  std::string text;  // for a person, with the remedy

  bool operator==(const Problem&) const = default;
};

// A unit as the kubelet is told of it.
struct Listed {
  Unit unit;
  Problem problem;       // kNone: Healthy; else why it is Unhealthy
  TimePoint since = {};  // kSettling: from when on it was fine

  bool healthy() const { return problem.reason == Reason::kNone; }
  bool operator==(const Listed& other) const {
    return unit == other.unit && problem == other.problem;
  }
};

// How long a unit that was unhealthy must be fine before it is offered again, so that a device that
// comes and goes is not.
constexpr Duration kSettleTime = std::chrono::seconds(1);

// What is listed at `now`, after `present` was found with `problems` (by id). A unit that was
// listed and is not there stays listed, unhealthy, while `keep` says so: the kubelet takes a device
// that it no longer hears of for healthy. Sorted by id.
std::vector<Listed> Relist(const std::vector<Listed>& before, const std::vector<Unit>& present,
                           const std::map<std::string, Problem>& problems, TimePoint now,
                           const std::function<bool(const Unit&)>& keep);

// Marks as unhealthy every healthy unit that has one of the devices `problems` (by address).
void Withhold(std::vector<Listed>& listed, const std::map<std::string, Problem>& problems);

// Marks as unhealthy what `after` has new, compared with `before`, for a reason that keeps it from
// being used. What was offered before stays so.
void HoldBack(std::vector<Listed>& after, const std::vector<Listed>& before,
              const Problem& problem);

}  // namespace gpuhost::sandbox_device_plugin
