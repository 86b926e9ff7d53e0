// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <sstream>

#include "libgpuhost/base/status.h"

namespace gpuhost {
namespace {

constexpr std::string_view kDirectory = "/run/nvidia/gpuhost/lock";
constexpr Duration kRetry = std::chrono::milliseconds(20);

std::string PathOf(std::string_view name) { return fmt::format("{}/{}", kDirectory, name); }

struct Registry {
  std::mutex mutex;
  std::map<int, std::string> names;  // by descriptor
};

Registry& Locks() {
  static auto* const registry = new Registry;  // also for threads that outlive main
  return *registry;
}

// "pid:[4026531836]": numbers of processes are compared within one namespace only.
std::string PidNamespace() { return HostFs().ReadLink("/proc/self/ns/pid").value_or("-"); }

// "process 812 (cc-manager)", as the holder has written it down.
std::string Describe(const HostFs& fs, std::string_view name) {
  std::istringstream words(fs.Read(PathOf(name)).value_or(""));
  std::string pid, space, program;
  if (!(words >> pid >> space >> program)) return "another process";
  if (space == PidNamespace()) return fmt::format("process {} ({})", pid, program);
  return fmt::format("{} in another PID namespace, where it is process {}", program, pid);
}

absl::StatusOr<UniqueFd> OpenLock(HostFs& fs, std::string_view name) {
  GPUHOST_ASSIGN(const UniqueFd directory, fs.PrivateDirectory(kDirectory));
  const std::string path = PathOf(name);
  UniqueFd fd(::openat(directory.get(), std::string(name).c_str(),
                       O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd && errno != ELOOP) return ErrnoStatus(errno, fmt::format("open lock {}", path));
  struct stat found {};
  const bool ours = fd && ::fstat(fd.get(), &found) == 0 && S_ISREG(found.st_mode) &&
                    found.st_nlink == 1 && found.st_uid == ::geteuid();
  if (ours) return fd;
  return Error(absl::StatusCode::kFailedPrecondition,
               "lock {}: a link or somebody else's file is in its place; remove that", path);
}

}  // namespace

struct FileLock::Held {
  Held(UniqueFd lock, std::string name) : fd(std::move(lock)) {
    const std::lock_guard guard(Locks().mutex);
    Locks().names[fd.get()] = std::move(name);
  }
  ~Held() {
    const std::lock_guard guard(Locks().mutex);
    Locks().names.erase(fd.get());
    fd.Reset();
  }
  UniqueFd fd;
};

FileLock::FileLock(std::unique_ptr<Held> held) : held_(std::move(held)) {}
FileLock::FileLock(FileLock&&) noexcept = default;
FileLock& FileLock::operator=(FileLock&&) noexcept = default;
FileLock::~FileLock() = default;

absl::StatusOr<FileLock> FileLock::Acquire(HostFs& fs, Clock& clock, std::string_view name,
                                           Duration limit) {
  GPUHOST_ASSIGN(UniqueFd fd, OpenLock(fs, name));
  absl::Status locked =
      PollUntil(clock, std::max(limit, kRetry), kRetry, [&]() -> absl::StatusOr<bool> {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return true;
        if (errno == EWOULDBLOCK) return false;
        return ErrnoStatus(errno, fmt::format("lock {}", PathOf(name)));
      });
  if (absl::IsDeadlineExceeded(locked)) {
    return Error(absl::StatusCode::kUnavailable,
                 "lock {}: {} is changing this device; wait for it to end", PathOf(name),
                 Describe(fs, name));
  }
  GPUHOST_TRY(locked);

  // Of one length, so that nothing is left of what was there.
  const std::string text = fmt::format(
      "{:<63}\n",
      fmt::format("{} {} {}", ::getpid(), PidNamespace(), program_invocation_short_name));
  if (::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, fmt::format("write lock {}", PathOf(name)));
  }
  return FileLock(std::make_unique<Held>(std::move(fd), std::string(name)));
}

std::optional<std::string> FileLock::HeldBy(const HostFs& fs, std::string_view name) {
  const auto fd = fs.Open(PathOf(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd.ok() || ::flock(fd->get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
    return std::nullopt;
  }
  return Describe(fs, name);
}

std::vector<int> FileLock::NamedIn(std::string_view text) {
  const std::lock_guard guard(Locks().mutex);
  std::vector<int> found;
  for (const auto& [fd, name] : Locks().names) {
    if (text.find(name) != std::string_view::npos) found.push_back(fd);
  }
  return found;
}

}  // namespace gpuhost
