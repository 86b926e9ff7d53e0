// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/hardware_server.h"

#include <sys/socket.h>

#include <cerrno>

#include "daemons/cc-manager/hardware_messages.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

template <typename Answer>
absl::StatusOr<std::string> Reply(Request::Call call, const absl::StatusOr<Answer>& answer) {
  if (!answer.ok()) return answer.status();
  return Encode(call, *answer);
}

absl::StatusOr<std::string> Carry(Hardware& hardware, const Request& request) {
  switch (request.call) {
    case Request::Call::kQuery:
      return Reply(request.call, hardware.Query(request.mode, request.ask_firmware));
    case Request::Call::kArm:
      return Reply(request.call, hardware.Arm(request.mode));
    case Request::Call::kDisarm:
      return Reply(request.call, hardware.Disarm());
    case Request::Call::kReset:
      return Reply(request.call, hardware.Reset());
  }
  return absl::InternalError("no such call");
}

}  // namespace

absl::Status Serve(Hardware& hardware, int socket) {
  while (true) {
    char bytes[64];  // a request is much shorter; a longer one arrives cut, and is none
    const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ECONNRESET) return ErrnoStatus(errno, "receive a request");
    if (got <= 0) return absl::OkStatus();
    GPUHOST_ASSIGN(const Request request,
                   DecodeRequest(std::string_view(bytes, static_cast<size_t>(got))));
    GPUHOST_ASSIGN(const std::string answer, Carry(hardware, request));
    while (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      return errno == EPIPE ? absl::OkStatus() : ErrnoStatus(errno, "send an answer");
    }
  }
}

}  // namespace gpuhost::cc_manager
