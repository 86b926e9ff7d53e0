// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/child.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include "libgpuhost/base/descriptors.h"
#include "libgpuhost/base/file_lock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {
namespace {

constexpr std::string_view kWrites = "write ";

// Children that did not end in time. A thread waits for each, so that none stays as a zombie; where
// no thread is to be had, whoever asks next reaps it.
class LeftBehind {
 public:
  void Add(pid_t pid, std::string about) {
    const std::lock_guard lock(mutex_);
    Child& child = children_.emplace_back(Child{pid, std::move(about), /*awaited=*/true});
    try {
      std::thread([this, pid] { Await(pid); }).detach();
    } catch (const std::system_error&) {
      child.awaited = false;
    }
  }
  template <typename Matches>
  bool HasOne(const Matches& matches) {
    const std::lock_guard lock(mutex_);
    std::erase_if(children_, [](const Child& child) {
      return !child.awaited && ::waitpid(child.pid, nullptr, WNOHANG) != 0;
    });
    return std::ranges::any_of(children_, [&](const Child& child) { return matches(child.about); });
  }

 private:
  struct Child {
    pid_t pid;
    std::string about;
    bool awaited;
  };
  void Await(pid_t pid) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    const std::lock_guard lock(mutex_);
    std::erase_if(children_, [&](const Child& child) { return child.pid == pid; });
  }

  std::mutex mutex_;
  std::vector<Child> children_;
};

LeftBehind& Left() {
  static auto* const left = new LeftBehind;  // also for threads that outlive main
  return *left;
}

// Waits until `fd` is readable; false when `limit` has passed.
bool Readable(int fd, Duration limit) {
  SystemClock clock;
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready =
        ::poll(&waiting, 1, static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

// What comes from `fd` until its end, or until `limit` has passed; beyond `most` bytes it is read
// and dropped.
absl::StatusOr<std::string> Collect(int fd, Duration limit, size_t most) {
  SystemClock clock;
  const TimePoint deadline = clock.Now() + limit;
  std::string text;
  while (true) {
    if (!Readable(fd, deadline - clock.Now())) return absl::DeadlineExceededError("not in time");
    char buffer[4096];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, std::min(static_cast<size_t>(got), most - text.size()));
  }
}

// Tells a child to die and gives it a moment; one that hangs in the kernel is left behind.
void Abandon(pid_t child, std::string about) {
  constexpr Duration kMoment = std::chrono::milliseconds(200), kStep = std::chrono::milliseconds(2);
  ::kill(child, SIGKILL);
  SystemClock clock;
  const absl::Status ended = PollUntil(clock, kMoment, kStep, [&]() -> absl::StatusOr<bool> {
    return ::waitpid(child, nullptr, WNOHANG) != 0;
  });
  if (!ended.ok()) Left().Add(child, std::move(about));
}

// Runs `work(answer)` in a child that has only the descriptors `answer` and `keep`; what it wrote
// to `answer`, an errno first. `about`: what to remember of a child that is left behind.
template <typename Work>
absl::StatusOr<std::string> AskChild(Duration limit, std::string about, std::vector<int> keep,
                                     size_t most, const Work& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  keep.push_back(write_end.get());
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) {
    CloseOthers(0, keep);
    work(write_end.get());
    ::_exit(0);
  }
  write_end.Reset();

  auto answer = Collect(read_end.get(), limit, sizeof(int) + most);
  if (!answer.ok()) {
    Abandon(child, std::move(about));
    return answer.status();
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  int error = 0;
  if (answer->size() < sizeof error) return absl::InternalError("the child process died");
  std::memcpy(&error, answer->data(), sizeof error);
  if (error != 0) return ErrnoStatus(error, "kernel");
  return answer->substr(sizeof error);
}

// Runs in a child.
void Report(int answer, int error, std::string_view bytes = {}) {
  if (::write(answer, &error, sizeof error) != sizeof error) return;
  while (!bytes.empty()) {
    const ssize_t done = ::write(answer, bytes.data(), bytes.size());
    if (done <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

// Runs in the child until execve takes over.
[[noreturn]] void ChrootAndExecute(int output, const char* root, char* const* arguments) {
  char* const environment[] = {nullptr};
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  bool ready = ::dup2(null, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
               ::dup2(output, STDERR_FILENO) >= 0;
  CloseOthers(STDERR_FILENO + 1);
  ready = ready && ::chroot(root) == 0 && ::chdir("/") == 0;
  if (ready) ::execve(arguments[0], arguments, environment);
  ::_exit(errno == ENOENT ? 127 : 126);
}

}  // namespace

absl::Status RunProgram(Duration limit, const std::string& root,
                        const std::vector<std::string>& arguments) {
  constexpr size_t kMostOutput = 4096;
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string what = fmt::format("run {}", fmt::join(arguments, " "));

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) ChrootAndExecute(write_end.get(), root.c_str(), argv.data());
  write_end.Reset();

  auto output = Collect(read_end.get(), limit, kMostOutput);
  if (!output.ok()) {
    Abandon(child, what);
    return Error(absl::StatusCode::kDeadlineExceeded, "{}: not done after {:.0f} s", what,
                 Seconds(limit));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return Error(absl::StatusCode::kNotFound, "{}: no such program below {}", what, root);
  }
  while (output->ends_with('\n')) output->pop_back();
  return Error(absl::StatusCode::kUnknown, "{}: {}", what, output->empty() ? "failed" : *output);
}

absl::Status WriteInChild(Duration limit, const std::string& path, std::string_view text) {
  std::string about = fmt::format("{}{} {}", kWrites, path, text);
  std::vector<int> locks = FileLock::NamedIn(about);
  const auto write = [&](int answer) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const ssize_t done = fd < 0 ? -1 : ::write(fd, text.data(), text.size());
    const bool whole = done >= 0 && static_cast<size_t>(done) == text.size();
    Report(answer, done < 0 ? errno : whole ? 0 : EIO);
  };
  const auto answer = AskChild(limit, std::move(about), std::move(locks), 0, write);
  if (!absl::IsDeadlineExceeded(answer.status())) return answer.status();
  return Error(absl::StatusCode::kDeadlineExceeded,
               "the kernel did not finish within {:.1f} s; the device is stuck", Seconds(limit));
}

absl::StatusOr<std::string> ReadInChild(Duration limit, const std::string& path, off_t offset,
                                        size_t size) {
  const std::string about = fmt::format("read {}", path);
  const auto read = [&](int answer) {
    std::array<char, 4096> buffer;
    const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const ssize_t got =
        fd < 0 ? -1 : ::pread(fd, buffer.data(), std::min(size, buffer.size()), offset);
    if (got < 0) return Report(answer, errno);
    Report(answer, 0, {buffer.data(), static_cast<size_t>(got)});
  };
  const auto same = [&](const std::string& other) { return other == about; };
  auto answer = Left().HasOne(same) ? absl::DeadlineExceededError("")
                                    : AskChild(limit, about, {}, size, read);
  if (!absl::IsDeadlineExceeded(answer.status())) return answer;
  return Error(absl::StatusCode::kDeadlineExceeded,
               "the kernel did not answer within {:.1f} s; somebody keeps the device locked",
               Seconds(limit));
}

bool IsLeftBehind(std::string_view name) {
  return Left().HasOne([&](const std::string& about) {
    return about.starts_with(kWrites) && about.find(name) != std::string::npos;
  });
}

}  // namespace gpuhost
