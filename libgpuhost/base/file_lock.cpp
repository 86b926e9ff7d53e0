// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost {
namespace {

constexpr std::string_view kDirectory = "/run/nvidia/gpuhost/lock";
constexpr Duration kRetry = std::chrono::milliseconds(20);

}  // namespace

absl::StatusOr<FileLock> FileLock::Acquire(HostFs& fs, Clock& clock, std::string_view name,
                                           Duration limit) {
  GPUHOST_TRY(fs.MakeDirectories(kDirectory));
  const std::string path = fmt::format("{}/{}", kDirectory, name);
  UniqueFd fd(::open(fs.Resolve(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, fmt::format("open lock {}", path));

  absl::Status locked = PollUntil(clock, limit, kRetry, [&]() -> absl::StatusOr<bool> {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    return ErrnoStatus(errno, fmt::format("lock {}", path));
  });
  if (absl::IsDeadlineExceeded(locked)) {
    const std::string holder = fs.ReadAttribute(path).value_or("");
    return Error(absl::StatusCode::kUnavailable,
                 "lock {}: process {} is changing this device; wait for it to end", path,
                 holder.empty() ? "unknown" : holder);
  }
  GPUHOST_TRY(locked);

  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return ErrnoStatus(errno, fmt::format("write lock {}", path));
  }
  return FileLock(std::move(fd));
}

}  // namespace gpuhost
