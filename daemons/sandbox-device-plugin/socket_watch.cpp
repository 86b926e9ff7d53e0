// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/socket_watch.h"

#include <sys/inotify.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr uint32_t kMask =
    IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

absl::StatusOr<SocketWatch> SocketWatch::Open() {
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "inotify_init1");
  return SocketWatch(std::move(fd));
}

absl::Status SocketWatch::Watch(const std::string& directory) {
  if (::inotify_add_watch(fd_.get(), directory.c_str(), kMask) < 0) {
    return ErrnoStatus(errno, fmt::format("watch {}", directory));
  }
  return absl::OkStatus();
}

bool SocketWatch::Drain() {
  bool relevant = false;
  char buffer[4096];
  while (true) {
    const ssize_t got = ::read(fd_.get(), buffer, sizeof buffer);
    if (got <= 0) return relevant;  // EAGAIN: taken all
    for (size_t at = 0; at < static_cast<size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      // The name is padded with zeros; without one the event is about the directory.
      const char* name = buffer + at + sizeof event;
      relevant = relevant || event.len == 0 || std::string_view(name).ends_with(".sock");
      at += sizeof event + event.len;
    }
  }
}

}  // namespace gpuhost::sandbox_device_plugin
