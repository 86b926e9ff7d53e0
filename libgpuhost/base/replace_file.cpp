// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/replace_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <random>
#include <vector>

#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {
namespace {

constexpr size_t kRandom = 6;  // letters at the end of a temporary name

// Where a temporary file can have its name.
struct Place {
  UniqueFd directory;
  std::string prefix;
};

// Files are renamed within a mount only, even of the same file system.
uint64_t MountOf(int directory) {
  struct statx found {};
  const int got = ::statx(directory, "", AT_EMPTY_PATH, STATX_MNT_ID, &found);
  return got == 0 && (found.stx_mask & STATX_MNT_ID) != 0 ? found.stx_mnt_id : 0;
}

Place Above(int directory, const std::string& name) {
  UniqueFd above(::openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (above && MountOf(above.get()) != MountOf(directory)) above.Reset();
  return {std::move(above), ".gpuhost-" + name + "."};
}

Place Beside(int directory, const std::string& name) {
  return {UniqueFd(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)), name + ".tmp."};
}

// The best first.
std::array<Place, 2> Places(int directory, const std::string& name) {
  return {Above(directory, name), Beside(directory, name)};
}

std::string RandomName(const std::string& prefix) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string name = prefix;
  for (size_t i = 0; i < kRandom; ++i) name += kLetters[random() % kLetters.size()];
  return name;
}

void RemoveLeftOvers(const Place& place) {
  UniqueFd fd(::openat(place.directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> list(fd ? ::fdopendir(fd.get()) : nullptr, &::closedir);
  if (!list) return;
  fd.Release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string_view name = entry->d_name;
    const bool ours =
        name.starts_with(place.prefix) && name.size() == place.prefix.size() + kRandom;
    if (ours) names.emplace_back(name);
  }
  for (const std::string& name : names) {
    const UniqueFd file(::openat(place.directory.get(), name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat found {};
    const bool left = file && ::fstat(file.get(), &found) == 0 && S_ISREG(found.st_mode) &&
                      ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
    if (left) ::unlinkat(place.directory.get(), name.c_str(), 0);
  }
}

// Owner and label of the file `name` in `directory`, as far as there is one and we may set them.
void CopyOwner(int directory, const std::string& name, int to) {
  constexpr const char* kLabel = "security.selinux";
  const UniqueFd from(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat owner {};
  if (!from || ::fstat(from.get(), &owner) != 0) return;
  if (::fchown(to, owner.st_uid, owner.st_gid) != 0) return;
  char label[256];
  const ssize_t size = ::fgetxattr(from.get(), kLabel, label, sizeof label);
  if (size > 0) ::fsetxattr(to, kLabel, label, static_cast<size_t>(size), 0);
}

// A file that is being written, with or without a name, and locked meanwhile.
class Temporary {
 public:
  // `unnamed`: without a name where the file system can do that; then its label is that of the
  // directory, too.
  static absl::StatusOr<Temporary> Make(int directory, const std::string& name, bool unnamed) {
    Temporary file;
    if (unnamed) {
      file.fd_.Reset(::openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    }
    for (Place& place : Places(directory, name)) {
      if (file.fd_) break;
      file.place_ = std::move(place);
      file.name_ = RandomName(file.place_.prefix);
      file.fd_.Reset(::openat(file.place_.directory.get(), file.name_.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    }
    if (!file.fd_) return ErrnoStatus(errno, "create a file beside it");
    ::flock(file.fd_.get(), LOCK_EX | LOCK_NB);
    return file;
  }
  Temporary(Temporary&&) = default;
  ~Temporary() {
    if (fd_ && !name_.empty()) ::unlinkat(place_.directory.get(), name_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }

  // kUnimplemented where it cannot be given a name.
  absl::Status MoveTo(int directory, const std::string& name) {
    if (name_.empty()) GPUHOST_TRY(Name(directory, name));
    if (::renameat(place_.directory.get(), name_.c_str(), directory, name.c_str()) != 0) {
      return ErrnoStatus(errno, "rename");
    }
    name_.clear();
    return absl::OkStatus();
  }

 private:
  Temporary() = default;

  absl::Status Name(int directory, const std::string& name) {
    const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
    for (Place& place : Places(directory, name)) {
      const std::string temporary = RandomName(place.prefix);
      if (::linkat(AT_FDCWD, self.c_str(), place.directory.get(), temporary.c_str(),
                   AT_SYMLINK_FOLLOW) == 0) {
        place_ = std::move(place);
        name_ = temporary;
        return absl::OkStatus();
      }
    }
    return absl::UnimplementedError("link");
  }

  UniqueFd fd_;
  Place place_;
  std::string name_;  // in place_; empty: none
};

absl::Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return ErrnoStatus(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return absl::OkStatus();
}

absl::Status Replace(int directory, const std::string& name, std::string_view bytes, mode_t mode,
                     bool unnamed) {
  GPUHOST_ASSIGN(Temporary file, Temporary::Make(directory, name, unnamed));
  GPUHOST_TRY(WriteAll(file.fd(), bytes));
  CopyOwner(directory, name, file.fd());
  if (::fchmod(file.fd(), mode) != 0 || ::fsync(file.fd()) != 0) return ErrnoStatus(errno, "sync");
  return file.MoveTo(directory, name);
}

}  // namespace

absl::Status ReplaceFile(int directory, const std::string& name, std::string_view bytes,
                         mode_t mode) {
  RemoveLeftOvers(directory, name);
  const absl::Status status = Replace(directory, name, bytes, mode, /*unnamed=*/true);
  if (!absl::IsUnimplemented(status)) return status;
  return Replace(directory, name, bytes, mode, /*unnamed=*/false);
}

void RemoveLeftOvers(int directory, const std::string& name) {
  for (const Place& place : Places(directory, name)) {
    RemoveLeftOvers(place);
  }
}

}  // namespace gpuhost
