// SPDX-License-Identifier: Apache-2.0
//
// cc-manager is the two sides, and their parent, which starts them and waits. It
// is the one that an init system or a container's runtime knows. So the death of the API side, be
// it process 1 of a container or not, never takes the hardware side with it, which disarms what is
// armed; and a hardware side that died is started anew by somebody who still may.
#pragma once

#include <absl/status/statusor.h>

#include <functional>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// Each is run in a child, and its value is the child's exit status.
struct Sides {
  std::function<int(int socket)> hardware;   // see RunHardwareSide
  std::function<int(UniqueFd control)> api;  // over a HardwareProcess of that
};

struct Patience {
  Duration first_pause =
      std::chrono::seconds(1);  // before a hardware side is started anew, doubled
  Duration last_pause = std::chrono::seconds(30);  // by each that does not live for a minute
  // After SIGTERM or SIGINT: the API side is killed, and the hardware side not waited for any more.
  Duration api_end = std::chrono::seconds(20);
  Duration all_end = std::chrono::seconds(25);
  // Without such a signal, for the hardware side after the end of the API side.
  Duration hardware_end = std::chrono::seconds(70);
};

// Runs both sides until the API side has ended, then waits for the hardware side, which sees that.
// Returns the exit status of the API side, kFailed when it died of a signal. SIGTERM, SIGINT and
// SIGHUP are passed on to it; the hardware side hears none. When this process dies, the API side
// is killed (which a change of its user would undo: prctl(2), PR_SET_PDEATHSIG). A hardware side
// that cannot trust its peer (kPeerTalksNonsense) ends both. Call before the first thread starts.
// Errors: the errno of the first start.
absl::StatusOr<int> Supervise(const Sides& sides, const Patience& patience = {});

}  // namespace gpuhost::cc_manager
