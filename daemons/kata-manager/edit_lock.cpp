// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/edit_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <optional>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr Duration kLimit = std::chrono::seconds(30);
constexpr Duration kInterval = std::chrono::milliseconds(200);
constexpr const char* kName = "container-runtime";
constexpr const char* kKataDeploy = "/run/lock/kata-deploy.lock";

}  // namespace

absl::StatusOr<EditLock> EditLock::Acquire(HostFs& fs, Clock& clock, const Stopping& stopping) {
  absl::StatusOr<FileLock> ours = absl::UnavailableError("");
  const absl::Status free = PollUntil(clock, kLimit, kInterval, [&]() -> absl::StatusOr<bool> {
    if (stopping && stopping()) return absl::CancelledError("about to end");
    ours = FileLock::Acquire(fs, clock, kName, Duration::zero());
    if (!ours.ok() && !absl::IsUnavailable(ours.status())) return ours.status();
    return ours.ok();
  });
  if (absl::IsDeadlineExceeded(free)) return ours.status();  // names the process
  GPUHOST_TRY(free);
  UniqueFd theirs(::open(fs.Resolve(kKataDeploy).c_str(), O_RDWR | O_CLOEXEC));
  if (theirs) {
    GPUHOST_TRY(Annotate(PollUntil(clock, kLimit, kInterval,
                                   [&]() -> absl::StatusOr<bool> {
                                     if (stopping && stopping())
                                       return absl::CancelledError("about to end");
                                     return ::flock(theirs.get(), LOCK_EX | LOCK_NB) == 0;
                                   }),
                         "kata-deploy is at work on the container runtime"));
  }
  return EditLock(*std::move(ours), std::move(theirs));
}

}  // namespace gpuhost::kata_manager
