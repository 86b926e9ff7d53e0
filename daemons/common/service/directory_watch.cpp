// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/directory_watch.h"

#include <sys/inotify.h>

#include <algorithm>
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

absl::Status DirectoryWatch::Watch(const std::string& directory) { return Add(directory, kMask); }

absl::Status DirectoryWatch::WatchContents(const std::string& directory) {
  return Add(directory, kMask | IN_CLOSE_WRITE);
}

absl::Status DirectoryWatch::Add(const std::string& directory, uint32_t mask) {
  if (::inotify_add_watch(fd_.get(), directory.c_str(), mask) < 0) {
    return ErrnoStatus(errno, fmt::format("watch {}", directory));
  }
  return absl::OkStatus();
}

bool DirectoryWatch::Drain(std::string_view suffix) { return DrainAny({std::string(suffix)}); }

bool DirectoryWatch::DrainAny(const std::vector<std::string>& suffixes) {
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
      const auto is_end = [&](const std::string& suffix) {
        return std::string_view(name).ends_with(suffix);
      };
      relevant = relevant || event.len == 0 || std::ranges::any_of(suffixes, is_end);
      at += sizeof event + event.len;
    }
  }
}

}  // namespace gpuhost::service
