// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr uint64_t kThroughLinks = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
constexpr uint64_t kNoLinks = kThroughLinks | RESOLVE_NO_SYMLINKS;

absl::Status Failed(int error, const std::string& what) {
  if (error == EXDEV) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: it leads outside", what);
  }
  if (error == ELOOP) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: it leads through a symbolic link",
                 what);
  }
  if (error == ENOSYS) {
    return Error(absl::StatusCode::kUnimplemented,
                 "{}: artefacts need openat2(2), so Linux 5.6 or newer", what);
  }
  return ErrnoStatus(error, what);
}

// Sets errno like open(2).
UniqueFd OpenBeneath(int directory, const std::string& name, uint64_t flags, uint64_t how) {
  open_how wanted{};
  wanted.flags = flags | O_CLOEXEC;
  wanted.resolve = how;
  constexpr int kTries = 1000;
  UniqueFd fd;
  // EAGAIN: something on the machine was renamed while ".." was being resolved.
  for (int i = 0; i < kTries && !fd && (i == 0 || errno == EAGAIN || errno == EINTR); ++i) {
    fd.Reset(
        static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &wanted, sizeof wanted)));
  }
  return fd;
}

}  // namespace

absl::StatusOr<Tree> Tree::Open(const HostFs& fs, const std::string& directory) {
  GPUHOST_ASSIGN(UniqueFd fd, fs.Open(directory, O_RDONLY | O_DIRECTORY));
  return Tree(std::move(fd), directory);
}

absl::StatusOr<UniqueFd> Tree::OpenAt(const std::string& name, uint64_t flags, uint64_t how) const {
  UniqueFd fd = OpenBeneath(fd_.get(), name, flags, how);
  if (!fd) return Failed(errno, fmt::format("open {}/{}", path_, name));
  return fd;
}

absl::Status Tree::MakeDirectories(const std::string& name) const {
  for (size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    const size_t slash = part.rfind('/');
    const std::string above = slash == std::string::npos ? "." : part.substr(0, slash);
    GPUHOST_ASSIGN(const UniqueFd parent, OpenAt(above, O_PATH | O_DIRECTORY, kNoLinks));
    const std::string last = slash == std::string::npos ? part : part.substr(slash + 1);
    if (::mkdirat(parent.get(), last.c_str(), 0755) != 0 && errno != EEXIST) {
      return Failed(errno, fmt::format("create directory {}/{}", path_, part));
    }
    if (end == std::string::npos) break;
  }
  return OpenAt(name, O_PATH | O_DIRECTORY, kNoLinks).status();  // not a file or a link
}

absl::StatusOr<Tree> Tree::Below(const std::string& name) const {
  GPUHOST_TRY(MakeDirectories(name));
  GPUHOST_ASSIGN(UniqueFd fd, OpenAt(name, O_RDONLY | O_DIRECTORY, kNoLinks));
  return Tree(std::move(fd), path_ + "/" + name);
}

absl::StatusOr<Tree::Place> Tree::PlaceOf(const std::string& name) const {
  const size_t slash = name.rfind('/');
  const std::string above = slash == std::string::npos ? "." : name.substr(0, slash);
  if (slash != std::string::npos) GPUHOST_TRY(MakeDirectories(above));
  GPUHOST_ASSIGN(UniqueFd directory, OpenAt(above, O_PATH | O_DIRECTORY, kNoLinks));
  std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
  if (last.empty() || last == "." || last == "..") {
    return Error(absl::StatusCode::kFailedPrecondition, "{}/{}: it leads outside", path_, name);
  }
  return Place{std::move(directory), std::move(last)};
}

absl::StatusOr<UniqueFd> Tree::Create(const std::string& name, mode_t mode) const {
  GPUHOST_ASSIGN(const Place place, PlaceOf(name));
  UniqueFd fd(::openat(place.directory.get(), place.last.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd || ::fchmod(fd.get(), mode) != 0) {
    return Failed(errno, fmt::format("create {}/{}", path_, name));
  }
  return fd;
}

absl::Status Tree::Write(const std::string& name, std::string_view bytes, mode_t mode) const {
  GPUHOST_ASSIGN(const UniqueFd fd, Create(name, mode));
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return Failed(errno, fmt::format("write {}/{}", path_, name));
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return absl::OkStatus();
}

absl::Status Tree::Symlink(const std::string& name, const std::string& target) const {
  GPUHOST_ASSIGN(const Place place, PlaceOf(name));
  if (::symlinkat(target.c_str(), place.directory.get(), place.last.c_str()) == 0) {
    return absl::OkStatus();
  }
  return Failed(errno, fmt::format("create link {}/{}", path_, name));
}

absl::Status Tree::LinkTo(const HostFs& fs, const std::string& file,
                          const std::string& name) const {
  GPUHOST_ASSIGN(const Place place, PlaceOf(name));
  if (::linkat(AT_FDCWD, fs.Resolve(file).c_str(), place.directory.get(), place.last.c_str(), 0) ==
      0) {
    return absl::OkStatus();
  }
  return Failed(errno, fmt::format("link {} as {}/{}", file, path_, name));
}

absl::Status Tree::LinkInside(const std::string& existing, const std::string& name) const {
  const size_t slash = existing.rfind('/');
  GPUHOST_ASSIGN(const UniqueFd from,
                 OpenAt(slash == std::string::npos ? "." : existing.substr(0, slash),
                        O_PATH | O_DIRECTORY, kNoLinks));
  const std::string last = slash == std::string::npos ? existing : existing.substr(slash + 1);
  GPUHOST_ASSIGN(const Place place, PlaceOf(name));
  if (::linkat(from.get(), last.c_str(), place.directory.get(), place.last.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return Failed(errno, fmt::format("link {}/{} as {}", path_, existing, name));
}

absl::StatusOr<UniqueFd> Tree::OpenForReading(const std::string& name) const {
  return OpenAt(name, O_RDONLY | O_NONBLOCK, kThroughLinks);
}

absl::StatusOr<Tree::Content> Tree::Walk() const {
  Content content{{}, {""}};
  for (size_t at = 0; at < content.directories.size(); ++at) {
    const std::string below = content.directories[at];
    GPUHOST_ASSIGN(UniqueFd fd,
                   OpenAt(below.empty() ? "." : below, O_RDONLY | O_DIRECTORY, kNoLinks));
    const std::unique_ptr<DIR, int (*)(DIR*)> listed(::fdopendir(fd.get()), &::closedir);
    if (!listed) return Failed(errno, fmt::format("list {}/{}", path_, below));
    fd.Release();
    while (const dirent* entry = ::readdir(listed.get())) {
      const std::string last = entry->d_name;
      if (last == "." || last == "..") continue;
      std::string name = below.empty() ? last : below + "/" + last;
      struct stat found {};
      if (::fstatat(::dirfd(listed.get()), last.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
        return Failed(errno, fmt::format("stat {}/{}", path_, name));
      }
      if (S_ISDIR(found.st_mode)) {
        content.directories.push_back(std::move(name));
      } else {
        content.entries.push_back({std::move(name), S_ISLNK(found.st_mode)});
      }
    }
  }
  return content;
}

absl::StatusOr<std::vector<Tree::Entry>> Tree::Entries() const {
  GPUHOST_ASSIGN(Content content, Walk());
  std::ranges::sort(content.entries, {}, &Entry::name);
  return std::move(content.entries);
}

absl::Status Tree::Clear() const {
  GPUHOST_ASSIGN(const Content content, Walk());
  const auto remove = [&](const std::string& name, int flags) -> absl::Status {
    GPUHOST_ASSIGN(const Place place, PlaceOf(name));
    if (::unlinkat(place.directory.get(), place.last.c_str(), flags) == 0) return absl::OkStatus();
    return Failed(errno, fmt::format("remove {}/{}", path_, name));
  };
  for (const Entry& entry : content.entries) GPUHOST_TRY(remove(entry.name, 0));
  for (size_t i = content.directories.size(); i > 1; --i) {
    GPUHOST_TRY(remove(content.directories[i - 1], AT_REMOVEDIR));
  }
  return absl::OkStatus();
}

absl::Status Tree::CheckLinks() const {
  GPUHOST_ASSIGN(const auto entries, Entries());
  for (const Entry& entry : entries) {
    if (!entry.is_link) continue;
    if (OpenBeneath(fd_.get(), entry.name, O_PATH, kThroughLinks)) continue;
    const bool leads_nowhere = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    if (!leads_nowhere) return Failed(errno, fmt::format("link {}/{}", path_, entry.name));
  }
  return absl::OkStatus();
}

absl::Status Tree::Sync() const {
  if (::syncfs(fd_.get()) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "write " + path_ + " to the disk");
}

}  // namespace gpuhost::kata_manager
