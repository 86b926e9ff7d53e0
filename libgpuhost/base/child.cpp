// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost {
namespace {

// Runs in the child: async-signal-safe calls only.
[[noreturn]] void WriteAndReport(int report, const char* path, const char* text, size_t size) {
  int error = 0;
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    error = errno;
  } else {
    const ssize_t done = ::write(fd, text, size);
    if (done < 0)
      error = errno;
    else if (static_cast<size_t>(done) != size)
      error = EIO;
  }
  const ssize_t reported = ::write(report, &error, sizeof error);
  ::_exit(reported == sizeof error ? 0 : 1);
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

// Runs in the child until execve takes over.
[[noreturn]] void ChrootAndExecute(int output, const char* root, char* const* arguments) {
  char* const environment[] = {nullptr};
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = ::dup2(null, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
                     ::dup2(output, STDERR_FILENO) >= 0 && ::chroot(root) == 0 && ::chdir("/") == 0;
  if (ready) ::execve(arguments[0], arguments, environment);
  ::_exit(errno == ENOENT ? 127 : 126);
}

// What the child prints, until it closes its end or `limit` has passed.
absl::StatusOr<std::string> Collect(int fd, Duration limit) {
  constexpr size_t kMaxOutput = 4096;
  SystemClock clock;
  const TimePoint deadline = clock.Now() + limit;
  std::string text;
  while (true) {
    if (!Readable(fd, deadline - clock.Now())) return absl::DeadlineExceededError("not in time");
    char buffer[512];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got <= 0) return text;
    if (text.size() < kMaxOutput) text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

absl::Status RunProgram(Duration limit, const std::string& root,
                        const std::vector<std::string>& arguments) {
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

  auto output = Collect(read_end.get(), limit);
  if (!output.ok()) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, WNOHANG);
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
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);

  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork");
  if (child == 0) WriteAndReport(write_end.get(), path.c_str(), text.data(), text.size());
  write_end.Reset();

  if (!Readable(read_end.get(), limit)) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, WNOHANG);
    return Error(absl::StatusCode::kDeadlineExceeded,
                 "the kernel did not finish within {:.1f} s; the device is stuck", Seconds(limit));
  }
  int error = EIO;
  const ssize_t got = ::read(read_end.get(), &error, sizeof error);
  ::waitpid(child, nullptr, 0);
  if (got != sizeof error) return absl::InternalError("the writing child died");
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "kernel");
}

}  // namespace gpuhost
