// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/private_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

// glibc 2.36 has no wrapper.
absl::StatusOr<UniqueFd> OpenWithoutLinks(const HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(const UniqueFd root, fs.Open("/", O_PATH | O_DIRECTORY));
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  const std::string below = path.substr(1);
  UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, root.get(), below.c_str(), &how, sizeof how)));
  if (fd) return fd;
  if (errno == ELOOP) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "open {}: a part of it is a link; remove it", path);
  }
  return ErrnoStatus(errno, fmt::format("open {}", path));
}

}  // namespace

absl::StatusOr<PrivateDirectory> PrivateDirectory::Open(HostFs& fs, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string above = path.substr(0, slash), name = path.substr(slash + 1);
  GPUHOST_TRY(fs.MakeDirectories(above));
  GPUHOST_ASSIGN(const UniqueFd parent, OpenWithoutLinks(fs, above));
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, fmt::format("make {}", path));
  }
  GPUHOST_ASSIGN(UniqueFd fd, OpenWithoutLinks(fs, path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: mode {:03o} of user {} is open to others; remove it", path,
                 info.st_mode & 0777, info.st_uid);
  }
  return PrivateDirectory(path, std::move(fd));
}

absl::StatusOr<std::vector<std::string>> PrivateDirectory::List() const {
  UniqueFd copy(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return ErrnoStatus(errno, fmt::format("list {}", path_));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(copy.get()), ::closedir);
  if (!directory) return ErrnoStatus(errno, fmt::format("list {}", path_));
  copy.Release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

absl::Status PrivateDirectory::Write(const std::string& name, std::string_view bytes) {
  const std::string what = fmt::format("write {}/{}", path_, name), temporary = name + ".tmp";
  GPUHOST_TRY(Remove(temporary));
  const UniqueFd fd(::openat(fd_.get(), temporary.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, what);
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return ErrnoStatus(errno, what);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  const bool there = ::fsync(fd.get()) == 0 &&
                     ::renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) == 0;
  return there ? absl::OkStatus() : ErrnoStatus(errno, what);
}

absl::Status PrivateDirectory::Remove(const std::string& name) {
  if (::unlinkat(fd_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, fmt::format("remove {}/{}", path_, name));
}

}  // namespace gpuhost::cc_manager
