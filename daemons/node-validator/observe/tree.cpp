// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <sstream>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr int kTries = 1000;  // of openat2(2); each takes microseconds
constexpr std::string_view kStub = "gpuhost-stub 1\n";
constexpr auto kKinds = std::to_array<std::string_view>(
    {"file", "directory", "character device", "block device", "socket", "FIFO"});

Kind KindOf(mode_t mode) {
  if (S_ISREG(mode)) return Kind::kFile;
  if (S_ISDIR(mode)) return Kind::kDirectory;
  if (S_ISCHR(mode)) return Kind::kCharacterDevice;
  if (S_ISBLK(mode)) return Kind::kBlockDevice;
  return S_ISSOCK(mode) ? Kind::kSocket : Kind::kFifo;
}

std::optional<std::string> FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    const auto byte = ParseHex(hex.substr(i, 2), 0xff);
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return hex.size() % 2 == 0 ? std::optional(bytes) : std::nullopt;
}

}  // namespace

struct Tree::Stub {
  Entry entry;
  std::map<off_t, std::string> parts;
};

std::string_view ToString(Kind kind) { return kKinds.at(static_cast<size_t>(kind)); }

std::string RenderStub(const Entry& entry, const std::map<off_t, std::string>& parts) {
  std::string text(kStub);
  text +=
      fmt::format("kind {}\nmode {:o}\nuid {}\nsize {}\nmodified {}\n",
                  static_cast<int>(entry.kind), entry.mode, entry.uid, entry.size, entry.modified);
  if (!entry.device.empty()) text += fmt::format("device {}\n", entry.device);
  for (const auto& [offset, bytes] : parts) {
    text += fmt::format("at {} ", offset);
    for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    text += "\n";
  }
  return text;
}

Tree::Tree(const HostFs& fs) : fs_(fs) {
  const std::string root = fs.Resolve("/");
  root_.Reset(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  captured_ = root != "/" && fs.Exists(kCapture);
}

Tree::Seen& Tree::Note(std::string_view path) const { return seen_[std::string(path)]; }

// Below the root whatever links say; where the kernel or a sandbox has no openat2(2), as HostFs
// does.
absl::StatusOr<UniqueFd> Tree::Open(std::string_view path, int flags) const {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT;
  const std::string relative = "." + std::string(path);
  UniqueFd fd;
  // EAGAIN: there is ".." in a link, and something was renamed meanwhile, anywhere on the machine.
  for (int tries = 0; tries < kTries && !fd && (tries == 0 || errno == EAGAIN); ++tries) {
    fd.Reset(
        static_cast<int>(::syscall(SYS_openat2, root_.get(), relative.c_str(), &how, sizeof how)));
  }
  if (!fd && (errno == ENOSYS || errno == EPERM)) return fs_.Open(path, flags);
  if (!fd) return ErrnoStatus(errno, fmt::format("open {}", path));
  return fd;
}

absl::StatusOr<UniqueFd> Tree::OpenFile(std::string_view path) const {
  // Without opening it first: a device may react to being opened.
  GPUHOST_ASSIGN(const UniqueFd found, Open(path, O_PATH));
  struct stat is {};
  if (::fstat(found.get(), &is) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  if (!S_ISREG(is.st_mode)) {
    return Error(absl::StatusCode::kFailedPrecondition, "read {}: it is a {}, not a file", path,
                 ToString(KindOf(is.st_mode)));
  }
  return Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

absl::StatusOr<std::string> Tree::Read(std::string_view path, size_t limit) const {
  Note(path).whole = true;
  GPUHOST_ASSIGN(const UniqueFd fd, OpenFile(path));
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("read {}", path));
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > limit) {
      return Error(absl::StatusCode::kResourceExhausted, "read {}: larger than {} bytes", path,
                   limit);
    }
  }
  if (captured_ && text.starts_with(kStub)) {
    return Error(absl::StatusCode::kFailedPrecondition, "read {}: only parts of it were captured",
                 path);
  }
  return text;
}

absl::StatusOr<std::string> Tree::ReadLine(std::string_view path) const {
  GPUHOST_ASSIGN(const std::string text, Read(path));
  return text.substr(0, text.find('\n'));
}

absl::StatusOr<Tree::Stub> Tree::ReadStub(std::string_view path) const {
  GPUHOST_ASSIGN(const UniqueFd fd, OpenFile(path));
  std::string text(kMaxFile, '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  if (!text.starts_with(kStub)) return absl::NotFoundError("it is no stub");
  Stub stub;
  std::istringstream lines(text.substr(kStub.size()));
  for (std::string key, value, hex; lines >> key >> value;) {
    const uint64_t number = ParseDecimal(value, INT64_MAX).value_or(0);
    if (key == "kind" && number < kKinds.size()) stub.entry.kind = static_cast<Kind>(number);
    if (key == "mode")
      stub.entry.mode = static_cast<mode_t>(std::strtoul(value.c_str(), nullptr, 8));
    if (key == "uid") stub.entry.uid = static_cast<uid_t>(number);
    if (key == "size") stub.entry.size = static_cast<off_t>(number);
    if (key == "modified") stub.entry.modified = static_cast<int64_t>(number);
    if (key == "device") stub.entry.device = value;
    if (key != "at" || !(lines >> hex)) continue;
    if (auto bytes = FromHex(hex)) stub.parts[static_cast<off_t>(number)] = *std::move(bytes);
  }
  return stub;
}

absl::StatusOr<std::string> Tree::ReadAt(std::string_view path, off_t offset, size_t count) const {
  const std::string what = fmt::format("read {} bytes at {} of {}", count, offset, path);
  if (captured_) {
    if (const auto stub = ReadStub(path); stub.ok()) {
      for (const auto& [start, bytes] : stub->parts) {
        if (start > offset || start + static_cast<off_t>(bytes.size()) < offset) continue;
        const std::string part = bytes.substr(static_cast<size_t>(offset - start), count);
        if (part.size() != count) continue;
        Note(path).parts[offset] = part;
        return part;
      }
      return Error(absl::StatusCode::kOutOfRange, "{}: not there, or not captured", what);
    }
  }
  GPUHOST_ASSIGN(const UniqueFd fd, OpenFile(path));
  std::string bytes(count, '\0');
  const ssize_t got = ::pread(fd.get(), bytes.data(), count, offset);
  if (got < 0) return ErrnoStatus(errno, what);
  if (static_cast<size_t>(got) != count) {
    return Error(absl::StatusCode::kOutOfRange, "{}: the file ends before", what);
  }
  Note(path).parts[offset] = bytes;
  return bytes;
}

absl::StatusOr<Entry> Tree::Look(std::string_view path) const {
  Note(path);
  GPUHOST_ASSIGN(const UniqueFd fd, Open(path, O_PATH));
  struct stat is {};
  if (::fstat(fd.get(), &is) != 0) return ErrnoStatus(errno, fmt::format("stat {}", path));
  Entry entry{.kind = KindOf(is.st_mode),
              .mode = is.st_mode & 07777,
              .uid = is.st_uid,
              .size = is.st_size,
              .modified = is.st_mtim.tv_sec};
  if (entry.kind == Kind::kCharacterDevice || entry.kind == Kind::kBlockDevice) {
    entry.device = fmt::format("{}:{}", major(is.st_rdev), minor(is.st_rdev));
  }
  if (!captured_) return entry;
  if (const auto stub = ReadStub(path); stub.ok()) return stub->entry;
  // Who unpacked the capture says nothing of the node.
  entry.uid = 0;
  entry.mode = entry.kind == Kind::kFile ? 0644 : 0755;
  return entry;
}

absl::StatusOr<std::vector<std::string>> Tree::List(std::string_view path) const {
  Note(path);
  GPUHOST_ASSIGN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), &::closedir);
  if (!directory) return ErrnoStatus(errno, fmt::format("list {}", path));
  fd.Release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  Note(path).names = names;
  return names;
}

absl::StatusOr<std::string> Tree::Link(std::string_view path) const {
  Note(path);
  const size_t slash = path.rfind('/');
  GPUHOST_ASSIGN(const UniqueFd directory,
                 Open(slash == 0 ? "/" : path.substr(0, slash), O_PATH | O_DIRECTORY));
  char target[4096];
  const ssize_t length = ::readlinkat(directory.get(), std::string(path.substr(slash + 1)).c_str(),
                                      target, sizeof target);
  if (length < 0) return ErrnoStatus(errno, fmt::format("read link {}", path));
  return std::string(target, static_cast<size_t>(length));
}

}  // namespace gpuhost::node_validator
