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
    if (done < 0) error = errno;
    else if (static_cast<size_t>(done) != size) error = EIO;
  }
  const ssize_t reported = ::write(report, &error, sizeof error);
  ::_exit(reported == sizeof error ? 0 : 1);
}

// Waits until `fd` is readable; false when `limit` has passed.
bool Readable(int fd, Duration limit) {
  SystemClock clock;
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

}  // namespace

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
