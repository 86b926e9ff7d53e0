// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <functional>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio {

struct Conduct {
  Duration lock_limit = std::chrono::seconds(70);  // above a reset's deadline
  // Asked once more when the unit is locked; an error ends it before the first write.
  std::function<absl::Status()> last_look = [] { return absl::OkStatus(); };
  // Called before each write to `bind`, as numbers are given out there, see Turns.
  std::function<void()> before_bind = [] {};
  // Go on where it cannot be seen who uses the devices.
  bool force = false;
  // Forget what is unbound, instead of remembering that it was unbound on request.
  bool forget = false;
};

// Carries out the plan of one unit: takes the lock of each of its functions, looks again whether
// they are as planned and free, checks that every attribute of every step is there and writable
// before the first write, writes each in a child with a deadline, verifies that the driver link
// says what it should and that a VFIO node came into being. What is done is recorded, see Record.
//
// On an error all functions are given back: the earlier override, the earlier driver.
// kDeadlineExceeded means that the kernel did not return from a write: the device is stuck and is
// left as it is. kAborted: not as planned any more; plan again. kFailedPrecondition, before the
// first write: somebody uses a device, or it cannot be seen whether somebody does. kUnavailable:
// somebody else is changing it. kInternal: the write succeeded and the driver link does not agree.
absl::Status Execute(HostFs& fs, Clock& clock, const Unit& unit, const Conduct& conduct);

}  // namespace gpuhost::vfio
