// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/instance.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

constexpr std::string_view kDirectory = "/run/nvidia/gpuhost";
constexpr Duration kClaimLimit = std::chrono::seconds(5);

std::string PathOf(std::string_view daemon) {
  return fmt::format("{}/{}.lock", kDirectory, daemon);
}

struct flock Whole(short type) {
  struct flock whole {};
  whole.l_type = type;
  return whole;
}

// Whether somebody holds it as a daemon does. Locks for reading do not count: they take no right to
// write.
bool HasWriter(int fd) {
  struct flock whole = Whole(F_RDLCK);
  return ::fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

bool IsPrivate(int fd) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == ::geteuid() &&
         (found.st_mode & 0077) == 0;
}

}  // namespace

absl::StatusOr<Instance> Instance::Claim(HostFs& fs, std::string_view daemon) {
  const std::string path = PathOf(daemon), name = std::string(daemon) + ".lock";
  GPUHOST_ASSIGN(const UniqueFd directory, fs.Directory(kDirectory));
  // Nobody else replaces the file meanwhile.
  SystemClock clock;
  GPUHOST_ASSIGN(const FileLock alone, FileLock::Acquire(fs, clock, name, kClaimLimit));
  const auto open = [&](int flags) {
    return UniqueFd(::openat(directory.get(), name.c_str(),
                             O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600));
  };
  UniqueFd fd = open(0);
  if (fd && HasWriter(fd.get())) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "lock {}: another {} runs on this node; end it first", path, daemon);
  }
  struct flock whole = Whole(F_WRLCK);
  // A file of earlier versions that anybody may read, a link, or one with readers: whoever has it
  // open could lock it for reading, now or later.
  if (!fd || !IsPrivate(fd.get()) || ::fcntl(fd.get(), F_SETLK, &whole) != 0) {
    ::unlinkat(directory.get(), name.c_str(), 0);
    fd = open(O_EXCL);
    if (!fd) return ErrnoStatus(errno, fmt::format("open lock {}", path));
    if (::fcntl(fd.get(), F_SETLK, &whole) != 0) {
      return ErrnoStatus(errno, fmt::format("lock {}", path));
    }
  }
  return Instance(std::move(fd));
}

bool IsAlive(const HostFs& fs, std::string_view daemon) {
  const auto fd = fs.Open(PathOf(daemon), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.ok()) return absl::IsPermissionDenied(fd.status());
  return HasWriter(fd->get());
}

}  // namespace gpuhost::service
