// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gpuhost::service {

// What the service manager can be told, by the protocol of sd_notify(3). Told together, it is one
// message.
struct Notice {
  bool ready = false;     // READY=1
  bool stopping = false;  // STOPPING=1
  bool watchdog = false;  // WATCHDOG=1: it is alive
  // STATUS=: for `systemctl status`; may have come from anywhere. Control characters and what is no
  // UTF-8 are replaced, as a line of it would be a command; it is cut after kLongestStatus bytes,
  // as systemd 252 drops a message of more than 4096 bytes with all that is in it.
  std::string_view status = {};
  static constexpr size_t kLongestStatus = 1024;
};

// The message that stands for it, as it travels.
std::string Render(const Notice& notice);

// Tells it. Does nothing where $NOTIFY_SOCKET is not set (containers, command lines).
void Notify(const Notice& notice);

}  // namespace gpuhost::service
