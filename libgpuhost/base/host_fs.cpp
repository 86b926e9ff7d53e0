// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/host_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "libgpuhost/base/child.h"
#include "libgpuhost/base/directory.h"
#include "libgpuhost/base/replace_file.h"
#include "libgpuhost/base/status.h"

namespace gpuhost {
namespace {

constexpr size_t kMaxFile = 4u << 20;

absl::Status WriteOnce(int fd, std::string_view text, const std::string& what) {
  const ssize_t done = ::write(fd, text.data(), text.size());
  if (done < 0) return ErrnoStatus(errno, what);
  if (static_cast<size_t>(done) != text.size()) {
    return Error(absl::StatusCode::kOutOfRange, "{}: only {} of {} bytes taken", what, done,
                 text.size());
  }
  return absl::OkStatus();
}

std::string_view WithoutNewline(std::string_view text) {
  return text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
}

// For reading. Whoever opens a FIFO waits for its writer, so nothing but a file is taken.
absl::StatusOr<UniqueFd> OpenFile(const HostFs& fs, std::string_view path) {
  GPUHOST_ASSIGN(UniqueFd fd, fs.Open(path, O_RDONLY | O_NONBLOCK));
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  if (S_ISDIR(found.st_mode)) return ErrnoStatus(EISDIR, fmt::format("read {}", path));
  if (!S_ISREG(found.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition, "read {}: it is no regular file", path);
  }
  return fd;
}

// Names in a directory, sorted; `keep` is given the open directory and each name.
template <typename Keep>
absl::StatusOr<std::vector<std::string>> ListIf(const HostFs& fs, std::string_view path,
                                                const Keep& keep) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(fs.Resolve(path).c_str()),
                                                      &::closedir);
  if (!directory) return ErrnoStatus(errno, fmt::format("list {}", path));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (keep(::dirfd(directory.get()), name)) names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string WriteText(std::string_view path, std::string_view text) {
  return fmt::format("write '{}' to {}", WithoutNewline(text), path);
}

}  // namespace

HostFs::HostFs(std::string root) : root_(std::move(root)) {
  while (root_.ends_with('/')) root_.pop_back();
}

std::string HostFs::Resolve(std::string_view path) const {
  return fmt::format("{}{}", root_, path);
}

absl::StatusOr<UniqueFd> HostFs::Open(std::string_view path, int flags) const {
  UniqueFd fd(::open(Resolve(path).c_str(), flags | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, fmt::format("open {}", path));
  return fd;
}

absl::StatusOr<std::string> HostFs::Read(std::string_view path) const {
  GPUHOST_ASSIGN(UniqueFd fd, OpenFile(*this, path));
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("read {}", path));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxFile) {
      return Error(absl::StatusCode::kResourceExhausted, "read {}: larger than {} bytes", path,
                   kMaxFile);
    }
  }
}

absl::StatusOr<std::string> HostFs::ReadAttribute(std::string_view path) const {
  GPUHOST_ASSIGN(std::string text, Read(path));
  return std::string(WithoutNewline(text));
}

absl::StatusOr<std::string> HostFs::ReadWithin(Duration limit, std::string_view path) const {
  constexpr size_t kMaxAttribute = 4096;  // sysfs shows a page at most
  auto text = ReadInChild(limit, Resolve(path), 0, kMaxAttribute);
  if (!text.ok()) return Annotate(text.status(), fmt::format("read {}", path));
  return std::string(WithoutNewline(*text));
}

absl::StatusOr<std::string> HostFs::ReadLink(std::string_view path) const {
  char target[4096];
  const ssize_t length = ::readlink(Resolve(path).c_str(), target, sizeof target);
  if (length < 0) return ErrnoStatus(errno, fmt::format("read link {}", path));
  return std::string(target, static_cast<size_t>(length));
}

absl::StatusOr<std::string> HostFs::LinkName(std::string_view path) const {
  GPUHOST_ASSIGN(const std::string target, ReadLink(path));
  return target.substr(target.rfind('/') + 1);
}

absl::StatusOr<std::string> HostFs::CharacterDevice(std::string_view path) const {
  struct stat found {};
  if (::stat(Resolve(path).c_str(), &found) != 0) {
    return ErrnoStatus(errno, fmt::format("stat {}", path));
  }
  if (!S_ISCHR(found.st_mode)) {
    return Error(absl::StatusCode::kNotFound, "{} is no character device", path);
  }
  return fmt::format("{}:{}", major(found.st_rdev), minor(found.st_rdev));
}

absl::StatusOr<std::vector<std::string>> HostFs::List(std::string_view path) const {
  return ListIf(*this, path, [](int, std::string_view) { return true; });
}

absl::StatusOr<std::vector<std::string>> HostFs::ListWith(std::string_view path,
                                                          std::string_view attribute,
                                                          std::string_view text) const {
  std::string file, begin(text.size(), '\0');
  return ListIf(*this, path, [&](int directory, std::string_view name) {
    file.assign(name).append("/").append(attribute);
    const UniqueFd fd(::openat(directory, file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const ssize_t got = fd ? ::pread(fd.get(), begin.data(), begin.size(), 0) : -1;
    return got == static_cast<ssize_t>(text.size()) && begin == text;
  });
}

bool HostFs::Exists(std::string_view path) const {
  return ::access(Resolve(path).c_str(), F_OK) == 0;
}

absl::Status HostFs::Write(std::string_view path, std::string_view text) {
  UniqueFd fd(::open(Resolve(path).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, WriteText(path, text));
  return WriteOnce(fd.get(), text, WriteText(path, text));
}

absl::Status HostFs::WriteWithin(Duration limit, std::string_view path, std::string_view text) {
  return Annotate(WriteInChild(limit, Resolve(path), text), WriteText(path, text));
}

bool HostFs::IsLeftBehind(std::string_view name) const { return gpuhost::IsLeftBehind(name); }

absl::StatusOr<std::string> HostFs::ReadAtWithin(Duration limit, std::string_view path,
                                                 off_t offset, size_t count) const {
  const std::string what = fmt::format("read {} bytes at {:#x} of {}", count, offset, path);
  auto bytes = ReadInChild(limit, Resolve(path), offset, count);
  if (!bytes.ok()) return Annotate(bytes.status(), what);
  if (bytes->size() == count) return bytes;
  return Error(absl::StatusCode::kOutOfRange, "{}: only {} there", what, bytes->size());
}

absl::StatusOr<std::string> HostFs::ReadAt(std::string_view path, off_t offset,
                                           size_t count) const {
  GPUHOST_ASSIGN(UniqueFd fd, Open(path, O_RDONLY | O_NONBLOCK));
  std::string bytes(count, '\0');
  const ssize_t got = ::pread(fd.get(), bytes.data(), count, offset);
  if (got == static_cast<ssize_t>(count)) return bytes;
  const int error = errno;
  const std::string what = fmt::format("read {} bytes at {:#x} of {}", count, offset, path);
  if (got >= 0) return Error(absl::StatusCode::kOutOfRange, "{}: only {} there", what, got);
  if (error != ESPIPE) return ErrnoStatus(error, what);
  return Error(absl::StatusCode::kFailedPrecondition, "{}: it is no regular file", what);
}

absl::Status HostFs::WriteAt(std::string_view path, off_t offset, std::string_view bytes) {
  GPUHOST_ASSIGN(UniqueFd fd, Open(path, O_WRONLY));
  const ssize_t done = ::pwrite(fd.get(), bytes.data(), bytes.size(), offset);
  const std::string what = fmt::format("write {} bytes at {:#x} of {}", bytes.size(), offset, path);
  if (done < 0) return ErrnoStatus(errno, what);
  if (static_cast<size_t>(done) != bytes.size()) {
    return Error(absl::StatusCode::kOutOfRange, "{}: only {} taken", what, done);
  }
  return absl::OkStatus();
}

// A name in a directory that is open.
struct HostFs::Entry {
  absl::Status Sync() const {
    const UniqueFd fd(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd && ::fsync(fd.get()) == 0) return absl::OkStatus();
    return ErrnoStatus(errno, "sync the directory");
  }
  UniqueFd directory;
  std::string name;
};

absl::StatusOr<HostFs::Entry> HostFs::EntryOf(std::string_view path) const {
  const size_t slash = path.rfind('/');
  GPUHOST_ASSIGN(UniqueFd directory, OpenDirectory(root_, path.substr(0, slash), Missing::kFail));
  return Entry{std::move(directory), std::string(path.substr(slash + 1))};
}

absl::Status HostFs::WriteFileAtomic(std::string_view path, std::string_view bytes, mode_t mode) {
  GPUHOST_ASSIGN(const Entry entry, EntryOf(path));
  GPUHOST_TRY(Annotate(ReplaceFile(entry.directory.get(), entry.name, bytes, mode),
                       fmt::format("replace {}", path)));
  return Annotate(entry.Sync(), fmt::format("replace {}", path));
}

absl::Status HostFs::Remove(std::string_view path) {
  const auto entry = EntryOf(path);
  if (absl::IsNotFound(entry.status())) return absl::OkStatus();
  GPUHOST_TRY(entry.status());
  RemoveLeftOvers(entry->directory.get(), entry->name);
  if (::unlinkat(entry->directory.get(), entry->name.c_str(), 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, fmt::format("remove {}", path));
  }
  return absl::OkStatus();
}

absl::Status HostFs::Rename(std::string_view from, std::string_view to) {
  GPUHOST_ASSIGN(const Entry source, EntryOf(from));
  GPUHOST_ASSIGN(const Entry target, EntryOf(to));
  if (::renameat(source.directory.get(), source.name.c_str(), target.directory.get(),
                 target.name.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("rename {} to {}", from, to));
  }
  return Annotate(target.Sync(), fmt::format("rename {} to {}", from, to));
}

absl::Status HostFs::ReplaceLink(std::string_view path, std::string_view target) {
  GPUHOST_ASSIGN(const Entry entry, EntryOf(path));
  const int directory = entry.directory.get();
  const std::string temporary = entry.name + ".tmp";
  ::unlinkat(directory, temporary.c_str(), 0);
  if (::symlinkat(std::string(target).c_str(), directory, temporary.c_str()) != 0 ||
      ::renameat(directory, temporary.c_str(), directory, entry.name.c_str()) != 0) {
    return ErrnoStatus(errno, fmt::format("point {} to {}", path, target));
  }
  return Annotate(entry.Sync(), fmt::format("point {} to {}", path, target));
}

absl::Status HostFs::HardLink(std::string_view file, std::string_view path) {
  GPUHOST_ASSIGN(const Entry source, EntryOf(file));
  GPUHOST_ASSIGN(const Entry target, EntryOf(path));
  if (::linkat(source.directory.get(), source.name.c_str(), target.directory.get(),
               target.name.c_str(), 0) != 0) {
    return ErrnoStatus(errno, fmt::format("link {} as {}", file, path));
  }
  return absl::OkStatus();
}

absl::Status HostFs::RemoveTree(std::string_view path) {
  std::error_code error;
  std::filesystem::remove_all(Resolve(path), error);
  if (error) return ErrnoStatus(error.value(), fmt::format("remove {}", path));
  return absl::OkStatus();
}

absl::Status HostFs::MakeDirectories(std::string_view path) {
  return OpenDirectory(root_, path, Missing::kMake).status();
}

absl::StatusOr<UniqueFd> HostFs::Directory(std::string_view path) {
  return OpenDirectory(root_, path, Missing::kMake);
}

absl::StatusOr<UniqueFd> HostFs::PrivateDirectory(std::string_view path) {
  constexpr mode_t kMode = 0700;
  GPUHOST_ASSIGN(UniqueFd fd, OpenDirectory(root_, path, Missing::kMake));
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  if (found.st_uid != ::geteuid()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "directory {}: it belongs to user {}; remove it", path, found.st_uid);
  }
  const bool right = (found.st_mode & 07777) == kMode;
  if (!right && ::fchmodat(fd.get(), ".", kMode, 0) != 0) {
    return ErrnoStatus(errno, fmt::format("set the mode of {}", path));
  }
  return fd;
}

}  // namespace gpuhost
