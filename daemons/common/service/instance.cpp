// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/instance.h"

#include <fcntl.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

constexpr std::string_view kDirectory = "/run/nvidia/gpuhost";

std::string PathOf(std::string_view daemon) {
  return fmt::format("{}/{}.lock", kDirectory, daemon);
}

}  // namespace

absl::StatusOr<Instance> Instance::Claim(HostFs& fs, std::string_view daemon) {
  GPUHOST_TRY(fs.MakeDirectories(kDirectory));
  const std::string path = PathOf(daemon);
  UniqueFd fd(::open(fs.Resolve(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return ErrnoStatus(errno, fmt::format("open lock {}", path));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  if (::fcntl(fd.get(), F_SETLK, &whole) == 0) return Instance(std::move(fd));
  if (errno == EAGAIN || errno == EACCES) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "lock {}: another {} runs on this node; end it first", path, daemon);
  }
  return ErrnoStatus(errno, fmt::format("lock {}", path));
}

bool IsAlive(const HostFs& fs, std::string_view daemon) {
  const auto fd = fs.Open(PathOf(daemon), O_RDONLY);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  return fd.ok() && ::fcntl(fd->get(), F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

}  // namespace gpuhost::service
