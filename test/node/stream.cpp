// SPDX-License-Identifier: Apache-2.0
#include "test/node/stream.h"

#include <poll.h>
#include <unistd.h>

#include <array>

#include "libgpuhost/base/parse.h"

namespace gpuhost::node {
namespace {

void WriteAll(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t done = ::write(fd, bytes, size);
    if (done <= 0) return;
    bytes += done;
    size -= static_cast<size_t>(done);
  }
}

// Moves what is there; false when the other side has closed.
template <typename Sink>
bool Move(int fd, Sink sink) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got <= 0) return false;
  sink(buffer.data(), static_cast<size_t>(got));
  return true;
}

}  // namespace

Ending Stream(const Ports& ports, Clock& clock, Duration limit) {
  const TimePoint deadline = clock.Now() + limit;
  std::string status;
  std::array<pollfd, 5> fds{{{ports.out, POLLIN, 0},
                             {ports.err, POLLIN, 0},
                             {ports.status, POLLIN, 0},
                             {ports.qemu, POLLIN, 0},
                             {ports.stop, POLLIN, 0}}};
  const auto ending = [&](Ending::Kind kind) {
    while (status.ends_with('\n')) status.pop_back();
    const auto number = ParseDecimal(status, 255);
    return Ending{kind, number ? std::optional<int>(static_cast<int>(*number)) : std::nullopt};
  };
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.Now()).count();
    if (left <= 0) return ending(Ending::Kind::kTimedOut);
    ::poll(fds.data(), fds.size(), static_cast<int>(std::min<int64_t>(left, INT32_MAX)));
    if (fds[4].revents != 0) return ending(Ending::Kind::kStopped);
    bool moved = false;
    for (size_t i = 0; i < 3; ++i) {
      if (fds[i].revents == 0) continue;
      const bool open = Move(fds[i].fd, [&](const char* bytes, size_t size) {
        if (i == 2)
          status.append(bytes, size);
        else
          WriteAll(i == 0 ? STDOUT_FILENO : STDERR_FILENO, bytes, size);
      });
      if (!open) fds[i].fd = -1;
      moved = true;
    }
    if (!moved && fds[3].revents != 0) return ending(Ending::Kind::kEnded);
  }
}

}  // namespace gpuhost::node
