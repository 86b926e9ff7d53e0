// SPDX-License-Identifier: Apache-2.0
//
// Between two users of a unit: it is not offered while the virtual machine of the last one, or
// anybody else whom the kubelet does not know, still has it open; and if so configured it is reset,
// when it was released or, where the kubelet is faster, before it is given away again.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/health.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/holders.h"

namespace gpuhost::sandbox_device_plugin {

class Tenancy {
 public:
  // Units that are free and seem idle are looked at so often: it is a walk over all processes.
  static constexpr Duration kPatrol = std::chrono::minutes(1);
  // Where users cannot be seen and nothing is reset, a virtual machine has so long to end after its
  // pod. The kernel refuses to let a second one open the device.
  static constexpr Duration kGrace = std::chrono::minutes(1);
  // Of all of Prepare: less than the 30 s that the kubelet gives a container to start, for it gives
  // Allocate no limit and admits no pod meanwhile.
  static constexpr Duration kPrepareLimit = std::chrono::seconds(25);

  using Look = std::function<vfio::Holders(std::span<const pci::Device>)>;

  // `reset`: function-level reset of each device of a unit after its last user.
  Tenancy(HostFs& fs, Clock& clock, bool reset);
  // Sees the users of devices by `look`.
  Tenancy(HostFs& fs, Clock& clock, bool reset, Look look)
      : fs_(fs), clock_(clock), reset_(reset), look_(std::move(look)) {}

  struct Tenant {
    Unit unit;
    bool assigned = false;   // the kubelet has given it to somebody
    bool withheld = false;   // at this moment the kubelet is told not to give it away
    bool hands_off = false;  // somebody else is resetting it, or says not to use it
  };
  // What keeps the units of `tenants` from being offered, by id. Call it with what the kubelet said
  // after it was told the last answer: a unit is reset only if it was withheld before, is assigned
  // to nobody and was seen to be open nowhere. Resets run side by side, and are waited for.
  std::map<std::string, Problem> Examine(const std::vector<Tenant>& tenants,
                                         std::span<const pci::Device> devices);

  // Called for units that are being given away, on any thread: returns once they may be used. Those
  // that had a user, or may have had one before this program started, are reset first, side by
  // side, for which this waits; nothing is done where resets are not configured.
  // kFailedPrecondition: one is open somewhere, or that cannot be seen; kDeadlineExceeded after
  // kPrepareLimit; kUnavailable: somebody else is changing it; other errors: the reset failed.
  absl::Status Prepare(const std::vector<Unit>& units);

  // A unit was released since the last Examine.
  bool HasNews(const std::vector<Tenant>& tenants) const;

  // What Examine said last.
  std::map<std::string, Problem> problems() const;

  // There is a unit whose state may change by itself within seconds.
  bool waiting() const;

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
    std::optional<TimePoint> unseen_since;  // its user has gone, and nobody can see more
  };
  class View;  // of all processes
  // True when the unit is to be reset now.
  bool Advance(const Tenant& tenant, View& view, bool patrol, Memory& memory);
  // Where no user is seen and not all can be. `idle`: nothing has happened since it was offered.
  void Guess(const Tenant& tenant, bool idle, const absl::Status& blind, Memory& memory);
  bool IsClean(const std::string& id) const;
  void SetClean(const std::string& id, bool clean);

  // Locks the devices of `units`, for which it may `wait`, and resets them unless somebody has them
  // open. By id; a unit that is clean, also by another thread meanwhile, is left alone.
  std::map<std::string, absl::Status> Reset(const std::vector<Unit>& units, Duration wait,
                                            TimePoint deadline);
  void ResetLocked(const std::vector<Unit>& units, TimePoint deadline,
                   std::map<std::string, absl::Status>& results);
  absl::Status ResetOne(const pci::Bdf& bdf, Duration limit);

  HostFs& fs_;
  Clock& clock_;
  const bool reset_;
  const Look look_;
  std::optional<TimePoint> patrolled_;
  std::map<std::string, Memory> memory_;
  mutable std::mutex mutex_;
  std::set<std::string> clean_;  // reset, and not given away since; by id, under mutex_
};

}  // namespace gpuhost::sandbox_device_plugin
