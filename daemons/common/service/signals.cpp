// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::service {

namespace {

// Blocks the signals and makes them readable.
absl::StatusOr<UniqueFd> Redirect(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : numbers) sigaddset(&signals, number);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0) {
    return ErrnoStatus(error, "block signals");
  }
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "signalfd");
  return fd;
}

}  // namespace

absl::StatusOr<StopSignal> StopSignal::Block() {
  GPUHOST_ASSIGN(UniqueFd fd, Redirect({SIGTERM, SIGINT}));
  return StopSignal(std::move(fd));
}

absl::StatusOr<ReloadSignal> ReloadSignal::Block() {
  GPUHOST_ASSIGN(UniqueFd fd, Redirect({SIGHUP}));
  return ReloadSignal(std::move(fd));
}

void ReloadSignal::Drain() {
  signalfd_siginfo taken{};
  while (::read(fd_.get(), &taken, sizeof taken) == sizeof taken) {
  }
}

Readable WaitReadable(std::initializer_list<int> fds, std::optional<Duration> limit) {
  std::vector<pollfd> waiting;
  for (const int fd : fds) waiting.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  int milliseconds = -1;
  if (limit) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*limit).count();
    milliseconds = static_cast<int>(std::clamp<int64_t>(rounded, 0, INT32_MAX));
  }
  while (::poll(waiting.data(), waiting.size(), milliseconds) < 0 && errno == EINTR) {
  }
  Readable readable;
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents != 0) readable.Set(i);
  }
  return readable;
}

}  // namespace gpuhost::service
