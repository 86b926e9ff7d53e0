// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio_manager {

// When units that failed are tried again: after 5 s, then after twice as long each time, up to a
// minute. To unbind, to bind and to give back are uevents of their own, which call for another pass
// at once; so a pass leaves such a unit alone before its time, unless the machine is not as the try
// had left it. And that counts three times before the time is up, for somebody may change it
// whenever we do.
class Retries {
 public:
  static constexpr Duration kFirst = std::chrono::seconds(5);
  static constexpr Duration kMost = std::chrono::minutes(1);

  // The error of the last try when `unit`, as planned now, is not to be tried yet.
  std::optional<absl::Status> Held(const vfio::Unit& unit, TimePoint now);
  // `unit`, as it is planned after a try that ended with `error`.
  void Tried(const vfio::Unit& unit, const absl::Status& error, TimePoint now);
  // It was not tried, for something stands in the way. It is looked at again as soon as this is
  // gone.
  void Blocked(const vfio::Unit& unit, TimePoint now);
  // It is as wanted.
  void Succeeded(const vfio::Unit& unit) { entries_.erase(unit.leads.front()); }
  // Forgets all that are not among `leads`.
  void Keep(const std::set<pci::Bdf>& leads);

  // How long nothing need be looked at, if nothing happens; kMost at most.
  Duration Pause(TimePoint now) const;

 private:
  static constexpr int kMostChanges = 3;
  struct Entry {
    std::optional<std::string> left;  // how the last try left it; empty: nothing was tried
    absl::Status error;
    Duration delay{};
    TimePoint due;
    int changes = 0;  // since the last time that it was due
  };
  static void Delay(Entry& entry, TimePoint now);

  std::map<pci::Bdf, Entry> entries_;  // by first lead
};

}  // namespace gpuhost::vfio_manager
