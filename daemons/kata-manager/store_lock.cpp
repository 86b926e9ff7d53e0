// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(50);

// Whether the path still leads to what is open: its last owner may have removed it.
bool IsStill(const std::string& path, int fd) {
  struct stat by_name {
  }, open{};
  return ::stat(path.c_str(), &by_name) == 0 && ::fstat(fd, &open) == 0 &&
         by_name.st_ino == open.st_ino && by_name.st_dev == open.st_dev;
}

}  // namespace

absl::StatusOr<StoreLock> StoreLock::Take(HostFs& fs, const std::string& directory, Kind kind,
                                          Duration patience, const Stopping& stopping) {
  const int how = (kind == Kind::kAlone ? LOCK_EX : LOCK_SH) | LOCK_NB;
  SystemClock clock;
  const TimePoint deadline = clock.Now() + patience;
  while (true) {
    GPUHOST_TRY(fs.MakeDirectories(directory));
    GPUHOST_ASSIGN(UniqueFd fd, fs.Open(directory, O_RDONLY | O_DIRECTORY));
    if (::flock(fd.get(), how) == 0) {
      if (IsStill(fs.Resolve(directory), fd.get())) return StoreLock(std::move(fd));
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus(errno, "lock " + directory);
    GPUHOST_TRY(CheckStopping(stopping));
    if (clock.Now() >= deadline) {
      return Error(absl::StatusCode::kUnavailable,
                   "lock {}: another kata-manager is at work there; try again when it has done",
                   directory);
    }
    clock.SleepFor(kStep);
  }
}

}  // namespace gpuhost::kata_manager
