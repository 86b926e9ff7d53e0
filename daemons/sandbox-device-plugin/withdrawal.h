// SPDX-License-Identifier: Apache-2.0
//
// What cc-manager asks of this plugin while it changes the mode of GPUs; docs/architecture.md, "How
// the daemons talk".
#pragma once

#include <optional>
#include <set>
#include <string>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// What nobody may be given now.
struct Withdrawal {
  std::string transition;         // name of the change; empty: nothing is withdrawn
  std::set<std::string> devices;  // addresses

  bool operator==(const Withdrawal&) const = default;
};

class WithdrawalReader {
 public:
  // A cc-manager that dies in the middle of a change is waited for so long: a new one finishes it.
  static constexpr Duration kPatience = std::chrono::minutes(1);

  // What cc-manager's status document withdraws at `now`. A document that cannot be read says what
  // the one before it said.
  Withdrawal Read(const HostFs& fs, TimePoint now);

 private:
  Withdrawal last_;
  std::optional<TimePoint> dead_since_;
};

}  // namespace gpuhost::sandbox_device_plugin
