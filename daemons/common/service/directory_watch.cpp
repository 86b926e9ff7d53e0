// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/directory_watch.h"

#include <sys/inotify.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

constexpr uint32_t kMask =
    IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

absl::StatusOr<DirectoryWatch> DirectoryWatch::Open() {
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "inotify_init1");
  return DirectoryWatch(std::move(fd));
}

absl::Status DirectoryWatch::Watch(const std::string& directory) {
  if (::inotify_add_watch(fd_.get(), directory.c_str(), kMask) < 0) {
    return ErrnoStatus(errno, fmt::format("watch {}", directory));
  }
  return absl::OkStatus();
}

bool DirectoryWatch::Drain(std::string_view suffix) {
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
      relevant = relevant || event.len == 0 || std::string_view(name).ends_with(suffix);
      at += sizeof event + event.len;
    }
  }
}

}  // namespace gpuhost::service
