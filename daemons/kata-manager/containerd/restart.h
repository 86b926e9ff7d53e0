// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemons/common/rpc/runtime_handlers.h"
#include "daemons/common/rpc/runtime_version.h"
#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/containerd/location.h"
#include "daemons/kata-manager/services.h"
#include "daemons/kata-manager/state.h"
#include "libgpuhost/base/clock.h"

namespace gpuhost::kata_manager::containerd {

struct RestartDeps {
  Services& services;
  Clock& clock;
  std::function<int64_t()> now;                            // seconds since 1970
  std::function<bool(const std::string& socket)> answers;  // somebody accepts connections there
  // What the container runtime there runs with; errors as AskRuntimeHandlers has them.
  std::function<absl::StatusOr<rpc::RuntimeHandlers>(const std::string& socket)> handlers;
  // What answers there; errors as AskRuntimeVersion has them.
  std::function<absl::StatusOr<rpc::RuntimeVersion>(const std::string& socket)> version;
  std::function<bool()> stopping;  // this process is to end; empty: it never is
};

// What may be restarted now.
struct Permission {
  std::string unit;     // empty: containerd does not run, and reads its files when it starts
  absl::Status status;  // OK, or why it must not be; the text says what to do
};

// kFailedPrecondition: its end would be that of pods (KillMode), or it is the kubelet, too, or the
// administrator wants none. kResourceExhausted: it has been done too often of late: once in ten
// minutes and three times a day are allowed.
Permission MayRestart(RestartDeps& deps, const Location& where, Restart policy, const State& state);

// kUnavailable, loudly, when the container runtime of this node is down, which is not the same as
// never started: its unit has failed, or systemd starts it again and again. OK also where systemd
// cannot be asked.
absl::Status CheckUp(RestartDeps& deps, const Location& where);

// Puts restarts that a clock which was ahead has written down into the present, so that they count
// as long as others do. Whether there were any.
bool CorrectClock(State& state, int64_t now);

// Seconds after a change at which this node restarts its container runtime: always the same, and
// spread evenly over `jitter` among nodes, by the machine id or else the name of the host.
int64_t StaggerOf(const HostFs& host, int64_t jitter);

// Restarts the unit and sees it up again: its socket answers, it runs with all handlers of `names`
// as far as it tells, and for ten seconds it is not started anew. The errors of Services, and
// kDeadlineExceeded or kFailedPrecondition when it does not stay or has not loaded one of them;
// kCancelled when this process is to end meanwhile.
absl::Status RestartAndWatch(RestartDeps& deps, const Location& where, const std::string& unit,
                             const std::vector<std::string>& names);

// Those of `names` that it does not run with; none where `loaded` is empty.
std::vector<std::string> Missing(const rpc::RuntimeHandlers& loaded,
                                 const std::vector<std::string>& names);

// The handlers that it runs with now; empty: it does not tell, or does not run.
rpc::RuntimeHandlers Loaded(RestartDeps& deps, const Location& where);

}  // namespace gpuhost::kata_manager::containerd
