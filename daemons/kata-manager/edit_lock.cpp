// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/edit_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr Duration kLimit = std::chrono::seconds(30);
constexpr Duration kInterval = std::chrono::milliseconds(200);
constexpr const char* kKataDeploy = "/run/lock/kata-deploy.lock";

}  // namespace

absl::StatusOr<EditLock> EditLock::Acquire(HostFs& fs, Clock& clock) {
  GPUHOST_ASSIGN(FileLock ours, FileLock::Acquire(fs, clock, "container-runtime", kLimit));
  UniqueFd theirs(::open(fs.Resolve(kKataDeploy).c_str(), O_RDWR | O_CLOEXEC));
  if (theirs) {
    GPUHOST_TRY(Annotate(PollUntil(clock, kLimit, kInterval,
                                   [&]() -> absl::StatusOr<bool> {
                                     return ::flock(theirs.get(), LOCK_EX | LOCK_NB) == 0;
                                   }),
                         "kata-deploy is at work on the container runtime"));
  }
  return EditLock(std::move(ours), std::move(theirs));
}

}  // namespace gpuhost::kata_manager
