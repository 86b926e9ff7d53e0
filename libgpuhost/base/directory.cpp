// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost {
namespace {

constexpr int kOpen = O_PATH | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t kMode = 0755;

absl::Status MakeAll(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), kMode) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir");
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

// One step down that follows no link.
absl::StatusOr<UniqueFd> Enter(int directory, const std::string& name, Missing missing) {
  if (missing == Missing::kMake && ::mkdirat(directory, name.c_str(), kMode) != 0 &&
      errno != EEXIST) {
    return ErrnoStatus(errno, name);
  }
  UniqueFd fd(::openat(directory, name.c_str(), kOpen | O_NOFOLLOW));
  if (fd) return fd;
  const int error = errno;
  struct stat found {};
  if (::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(found.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "'{}' is a link, and none is followed below {}; remove it", name,
                 kSharedDirectory);
  }
  return ErrnoStatus(error, name);
}

}  // namespace

absl::StatusOr<UniqueFd> OpenDirectory(const std::string& root, std::string_view path,
                                       Missing missing) {
  const std::string what = fmt::format("open directory {}", path);
  std::string_view rest = path;
  const bool shared =
      rest.starts_with(kSharedDirectory) &&
      (rest.size() == kSharedDirectory.size() || rest[kSharedDirectory.size()] == '/');
  rest.remove_prefix(shared ? kSharedDirectory.size() : rest.size());
  const std::string trusted = root + std::string(path.substr(0, path.size() - rest.size()));
  if (missing == Missing::kMake) GPUHOST_TRY(Annotate(MakeAll(trusted), what));
  UniqueFd fd(::open(trusted.empty() ? "/" : trusted.c_str(), kOpen));
  if (!fd) return ErrnoStatus(errno, what);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string name(rest.substr(0, rest.find('/')));
    rest.remove_prefix(name.size());
    if (name.empty()) continue;
    auto next = Enter(fd.get(), name, missing);
    if (!next.ok()) return Annotate(next.status(), what);
    fd = *std::move(next);
  }
  return fd;
}

}  // namespace gpuhost
