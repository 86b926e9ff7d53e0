// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/open_devices.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <system_error>
#include <thread>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::vfio {
namespace {

constexpr std::string_view kUnseen = "who uses devices cannot be seen";

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory OpenDirectory(int at, const std::string& path) {
  UniqueFd fd(::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Directory directory(fd ? ::fdopendir(fd.get()) : nullptr, &::closedir);
  if (directory) fd.Release();
  return directory;
}

// The next entry; at the end, and with errno set where it cannot be read, nothing.
const dirent* Next(const Directory& directory) {
  errno = 0;
  return ::readdir(directory.get());
}

// What /proc/<pid>/stat says that no process can say about itself.
struct Task {
  bool kernel_thread = false;
  bool ended = false;  // its last thread has, so that it has no files
};

// Source: proc_pid_stat(5): fields 3, 9 and 20, counted behind the name in brackets.
std::optional<Task> ReadTask(int proc, const std::string& pid) {
  constexpr uint64_t kPfKthread = 0x00200000;
  const UniqueFd fd(::openat(proc, (pid + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : -1;
  if (size <= 0) return std::nullopt;
  const std::string_view line(text, static_cast<size_t>(size));
  std::istringstream fields(std::string(line.substr(line.rfind(')') + 1)));
  std::vector<std::string> words;
  for (std::string word; fields >> word;) words.push_back(word);
  if (words.size() < 18) return std::nullopt;
  const bool dead = words[0] == "Z" || words[0] == "X";
  return Task{.kernel_thread = (ParseDecimal(words[6]).value_or(0) & kPfKthread) != 0,
              .ended = dead && words[17] == "1"};
}

// An administrator's word that this PID namespace is all of the node, which is a container itself.
bool IsNestedNode() {
  const char* said = std::getenv("GPUHOST_NESTED_NODE");
  return said != nullptr && std::string_view(said) == "1";
}

// What keeps other users' descriptors from us, in words. Source: proc_pid_fd(5), ptrace(2) on
// access mode checks; the directory itself is open to its owner alone.
std::string WhatIsMissing() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[2] = {};
  ::syscall(SYS_capget, &header, sets);
  const auto has = [&](unsigned bit) { return (sets[0].effective >> bit & 1) != 0; };
  std::string text;
  if (!has(CAP_SYS_PTRACE)) text = "CAP_SYS_PTRACE";
  if (!has(CAP_DAC_READ_SEARCH) && !has(CAP_DAC_OVERRIDE)) {
    text += text.empty() ? "CAP_DAC_READ_SEARCH" : " and CAP_DAC_READ_SEARCH";
  }
  if (!text.empty()) return "run with " + text;
  return "a user namespace, Landlock or a security module hides them; run outside of it";
}

// One look, shared by who asks and the thread that looks, since the latter may be left behind.
class Look {
 public:
  Look(std::string proc, std::set<dev_t> wanted)
      : proc_(std::move(proc)), wanted_(std::move(wanted)) {}

  void Run() {
    const absl::Status status = Walk();
    const std::lock_guard lock(mutex_);
    result_.complete = status;
    done_ = true;
    finished_.notify_all();
  }

  OpenDevices Await(Duration limit) {
    std::unique_lock lock(mutex_);
    if (!finished_.wait_for(lock, limit, [&] { return done_; })) {
      result_.complete = Stuck(Seconds(limit));
    }
    return result_;
  }

  // The same for one that was left behind earlier; nothing when it has ended since.
  std::optional<absl::Status> StillStuck() {
    const std::lock_guard lock(mutex_);
    if (done_) return std::nullopt;
    return Stuck(0);
  }

 private:
  absl::Status Stuck(double seconds) const {
    return Error(absl::StatusCode::kDeadlineExceeded,
                 "{}: the file system of descriptor {} of process {} does not answer{}; end that "
                 "process or unmount the file system by force",
                 kUnseen, at_fd_.load(), at_pid_.load(),
                 seconds > 0 ? fmt::format(" within {:.0f} s", seconds) : "");
  }

  absl::Status Walk() {
    const Directory proc = OpenDirectory(AT_FDCWD, proc_);
    if (!proc) {
      return Error(absl::StatusCode::kNotFound, "{}: {}", kUnseen,
                   Text(ErrnoStatus(errno, "list /proc")));
    }
    const int at = ::dirfd(proc.get());
    while (const dirent* entry = Next(proc)) {
      if (const auto pid = ParseDecimal(entry->d_name, INT32_MAX)) {
        LookAt(at, entry->d_name, static_cast<int>(*pid));
      }
    }
    if (errno != 0) {
      return Error(absl::StatusCode::kNotFound, "{}: {}", kUnseen,
                   Text(ErrnoStatus(errno, "list /proc")));
    }
    // The second process of the first PID namespace is the kernel's, and no other ever is.
    const auto kthreadd = ReadTask(at, "2");
    if (!IsNestedNode() && (!kthreadd || !kthreadd->kernel_thread)) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "{}: /proc does not show the host's processes; run in the host's PID namespace "
                   "(hostPID: true in a pod, --pid=host in a container){}",
                   kUnseen,
                   kthreadd ? ""
                            : ", and where /proc is mounted with hidepid with "
                              "CAP_SYS_PTRACE");
    }
    if (unseen_ == 0) return absl::OkStatus();
    return Error(
        absl::StatusCode::kPermissionDenied,
        "{}: {} processes do not show what they have open (the first is process {}): {}; {}",
        kUnseen, unseen_, first_unseen_, Text(ErrnoStatus(why_unseen_, "/proc")), WhatIsMissing());
  }

  void LookAt(int proc, const std::string& name, int pid) {
    at_pid_ = pid;
    if (LookAtFiles(proc, name + "/fd", pid) > 0) return;
    // The first thread may have ended and others still have the files.
    const Directory tasks = OpenDirectory(proc, name + "/task");
    while (const dirent* entry = tasks ? Next(tasks) : nullptr) {
      if (!ParseDecimal(entry->d_name) || name == entry->d_name) continue;
      LookAtFiles(proc, name + "/task/" + entry->d_name + "/fd", pid);
    }
  }

  // How many descriptors there were, or 1 where they could not be seen.
  int LookAtFiles(int proc, const std::string& path, int pid) {
    const Directory files = OpenDirectory(proc, path);
    if (!files) return Missed(proc, pid, errno), 1;
    int count = 0;
    while (const dirent* entry = Next(files)) {
      if (entry->d_name[0] == '.') continue;
      ++count;
      at_fd_ = static_cast<int>(ParseDecimal(entry->d_name, INT32_MAX).value_or(0));
      struct statx file {};
      const int at = ::dirfd(files.get());
      if (::statx(at, entry->d_name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &file) ==
          0) {
        Note(file, pid);
      } else if (errno == EACCES || errno == EPERM) {
        // From the process, or from its file's own file system, which is none of devices then.
        char target;
        if (::readlinkat(at, entry->d_name, &target, 1) >= 0) continue;
        return Missed(proc, pid, errno), 1;
      }
    }
    if (errno != 0) Missed(proc, pid, errno);
    return count;
  }

  void Note(const struct statx& file, int pid) {
    const dev_t number = makedev(file.stx_rdev_major, file.stx_rdev_minor);
    if (!S_ISCHR(file.stx_mode) || !wanted_.contains(number)) return;
    const std::lock_guard lock(mutex_);
    result_.found.push_back({pid, number});
  }

  // A process that has ended meanwhile, or a thread of the kernel, has nothing open.
  void Missed(int proc, int pid, int error) {
    if (error == ENOENT || error == ESRCH) return;
    const auto task = ReadTask(proc, fmt::format("{}", pid));
    if (!task || task->kernel_thread || task->ended) return;
    if (unseen_++ > 0) return;
    first_unseen_ = pid;
    why_unseen_ = error;
  }

  const std::string proc_;
  const std::set<dev_t> wanted_;
  int unseen_ = 0, first_unseen_ = 0, why_unseen_ = 0;
  std::atomic<int> at_pid_ = 0, at_fd_ = 0;

  std::mutex mutex_;
  std::condition_variable finished_;
  bool done_ = false;
  OpenDevices result_;
};

// The look that was left behind, if one was.
std::mutex left_mutex;
std::shared_ptr<Look> left_behind;

}  // namespace

OpenDevices FindOpenDevices(const std::string& proc, std::set<dev_t> wanted, Duration limit) {
  {
    const std::lock_guard lock(left_mutex);
    const auto stuck = left_behind ? left_behind->StillStuck() : std::nullopt;
    if (stuck) return {.found = {}, .complete = *stuck};
    left_behind = nullptr;
  }
  const auto look = std::make_shared<Look>(proc, std::move(wanted));
  try {
    std::thread([look] { look->Run(); }).detach();
  } catch (const std::system_error&) {  // no thread to be had
    look->Run();
  }
  OpenDevices result = look->Await(limit);
  if (absl::IsDeadlineExceeded(result.complete)) {
    const std::lock_guard lock(left_mutex);
    left_behind = look;
  }
  return result;
}

}  // namespace gpuhost::vfio
