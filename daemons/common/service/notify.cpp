// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::service {

std::string Render(const Notice& notice) {
  std::string text;
  if (notice.ready) text += "READY=1\n";
  if (notice.stopping) text += "STOPPING=1\n";
  if (notice.watchdog) text += "WATCHDOG=1\n";
  if (!notice.status.empty()) text += "STATUS=" + OneLine(notice.status, Notice::kLongestStatus);
  return text;
}

void Notify(const Notice& notice) {
  const std::string state = Render(notice);
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract socket
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // Nobody to tell is no reason to fail.
  static_cast<void>(::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), length));
}

}  // namespace gpuhost::service
