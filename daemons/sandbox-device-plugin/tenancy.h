// SPDX-License-Identifier: Apache-2.0
//
// Between two users of a unit: it is not offered while the virtual machine of the last one, or
// anybody else whom the kubelet does not know, still has it open; and if so configured it is reset,
// when it was released or, where the kubelet is faster, before it is given away again.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/health.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

class Tenancy {
 public:
  // Units that are free and seem idle are looked at so often: it is a walk over all processes.
  static constexpr Duration kPatrol = std::chrono::minutes(1);

  // `reset`: function-level reset of each device of a unit after its last user.
  Tenancy(HostFs& fs, Clock& clock, bool reset) : fs_(fs), clock_(clock), reset_(reset) {}

  struct Tenant {
    Unit unit;
    bool assigned = false;   // the kubelet has given it to somebody
    bool withheld = false;   // at this moment the kubelet is told not to give it away
    bool hands_off = false;  // somebody else is resetting it
  };
  // What keeps the units of `tenants` from being offered, by id. Call it with what the kubelet said
  // after it was told the last answer: a unit is reset only if it was withheld before, is assigned
  // to nobody and open nowhere.
  std::map<std::string, Problem> Examine(const std::vector<Tenant>& tenants,
                                         std::span<const pci::Device> devices);

  // Called for a unit that is being given away, on any thread: returns once it may be used. A unit
  // that had a user, or may have had one before this program started, is reset first, for which
  // this waits; nothing is done where resets are not configured. kFailedPrecondition: it is open
  // somewhere; other errors: the reset failed.
  absl::Status Prepare(const Unit& unit);

  // A unit was released since the last Examine.
  bool HasNews(const std::vector<Tenant>& tenants) const;

  // There is a unit whose state may change by itself within seconds.
  bool waiting() const { return waiting_; }

 private:
  enum class State {
    kUnknown,  // at start
    kAssigned,
    kReleased,  // its user has gone, its virtual machine maybe not
    kDirty,     // the same, and it is to be reset
    kFree,
  };
  struct Memory {
    State state = State::kUnknown;
    Problem problem;
  };
  using Holders = std::function<std::string(const Unit&)>;
  void Advance(const Tenant& tenant, const Holders& holders, bool patrol, Memory& memory);
  absl::Status Reset(const Unit& unit);  // under resetting_

  HostFs& fs_;
  Clock& clock_;
  const bool reset_;
  bool waiting_ = false;
  std::optional<TimePoint> patrolled_;
  std::map<std::string, Memory> memory_;
  std::mutex resetting_;
  std::set<std::string> clean_;  // reset, and not given away since; by id, under resetting_
};

}  // namespace gpuhost::sandbox_device_plugin
