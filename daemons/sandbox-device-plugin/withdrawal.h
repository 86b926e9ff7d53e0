// SPDX-License-Identifier: Apache-2.0
//
// What cc-manager asks of this plugin: whom it may give which devices while modes are changed, and
// afterwards; docs/architecture.md, "How the daemons talk".
#pragma once

#include <map>
#include <optional>
#include <string>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// What nobody may be given now.
struct Withdrawal {
  struct Ban {
    std::string reason;     // for a person
    bool in_change = true;  // it ends with the change; else cc-manager calls the device unusable

    bool operator==(const Ban&) const = default;
  };
  std::string transition;              // name of the change; empty: there is none
  std::map<std::string, Ban> devices;  // by address
  // Why no device at all may be given away: nobody can say which may. Empty: those above.
  std::string everything;

  bool operator==(const Withdrawal&) const = default;
};

class WithdrawalReader {
 public:
  // A cc-manager that dies in the middle of a change is waited for so long: a new one finishes it.
  static constexpr Duration kPatience = std::chrono::minutes(1);

  // What cc-manager's status document withdraws at `now`:
  //   - devices that are in a change, as long as cc-manager lives and for kPatience after; those
  //     that it may have armed for ever, for whoever starts a virtual machine then switches a mode;
  //   - devices that it calls unusable, or whose next reset brings another mode and that have an
  //     error, in every phase and also when it is dead.
  // A document that cannot be read says what the one before it said; where there was none, nobody
  // knows what may be given away.
  Withdrawal Read(const HostFs& fs, TimePoint now);

 private:
  std::optional<service::StatusDocument> last_;
  std::optional<TimePoint> dead_since_;
};

}  // namespace gpuhost::sandbox_device_plugin
