// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/hardware_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/hardware_server.h"
#include "daemons/cc-manager/local_hardware.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

namespace gpuhost::cc_manager {
namespace {

using std::chrono::seconds;

constexpr Duration kCallLimit = seconds(600);  // two resets, boots and locks: less than 300 s
constexpr Duration kEndLimit = seconds(70);
constexpr Duration kStartLimit = seconds(60);        // of another hardware side
constexpr Duration kPredecessorLimit = seconds(70);  // as for the lock of a device

[[noreturn]] void RunChild(int socket, const std::function<void(int socket)>& serve) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  ::prctl(PR_SET_NAME, "cc-hardware");
  serve(socket);
  ::_exit(0);
}

// The descriptors in one message; nothing when there is none now, an error when there never will
// be.
absl::StatusOr<std::optional<HardwareLink>> Receive(int control) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  const ssize_t got = ::recvmsg(control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got < 0) return ErrnoStatus(errno, "ask for a hardware side");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (got == 0 || header == nullptr || header->cmsg_len != CMSG_LEN(2 * sizeof(int))) {
    return absl::UnavailableError("nobody starts one any more");
  }
  int fds[2];
  std::memcpy(fds, CMSG_DATA(header), sizeof fds);
  return HardwareLink{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// One that an earlier cc-manager has left behind may still be at work; nothing good comes of
// working beside it, though the locks of the devices would keep the two apart.
absl::StatusOr<service::Instance> ClaimLife(HostFs& fs, Clock& clock, int socket) {
  absl::StatusOr<service::Instance> life = absl::UnknownError("not tried");
  PollUntil(clock, kPredecessorLimit, std::chrono::milliseconds(100), [&] {
    life = service::Instance::Claim(fs, "cc-hardware");
    pollfd peer{.fd = socket, .events = POLLRDHUP, .revents = 0};
    const bool alone = ::poll(&peer, 1, 0) > 0;
    return alone || !absl::IsFailedPrecondition(life.status());
  }).IgnoreError();
  return life;
}

}  // namespace

absl::Status Send(int control, const HardwareLink& link) {
  const int fds[2] = {link.process.get(), link.socket.get()};
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds, sizeof fds);
  if (::sendmsg(control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return absl::OkStatus();
  return ErrnoStatus(errno, "hand over a hardware side");
}

absl::StatusOr<std::unique_ptr<HardwareProcess>> HardwareProcess::Fork(
    const std::function<void(int socket)>& serve) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make a socket pair");
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return ErrnoStatus(errno, "fork the hardware side");
  if (child == 0) {
    ours.Reset();
    RunChild(theirs.get(), serve);
  }
  // The header of glibc 2.36 is not fit for C++.
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!process) return ErrnoStatus(errno, "watch the hardware side (kernel 5.3 or newer)");
  return std::unique_ptr<HardwareProcess>(
      new HardwareProcess(child, {std::move(process), std::move(ours)}));
}

HardwareProcess::~HardwareProcess() {
  link_.socket.Reset();
  if (child_ == 0) return;
  std::vector<pollfd> found;
  Wait({link_.process.get()}, kEndLimit, found);
  ::waitpid(child_, nullptr, WNOHANG);
}

absl::StatusOr<Survey> HardwareProcess::Query(cc::Mode mode, bool ask_firmware) {
  const Request request{Request::Call::kQuery, mode, ask_firmware};
  GPUHOST_TRY(Connect());
  GPUHOST_ASSIGN(const std::string answer, Call(request));
  auto survey = DecodeSurvey(request.call, answer);
  if (!survey.ok()) return Gone(Text(survey.status()));
  return survey;
}

absl::StatusOr<Progress> HardwareProcess::Arm(cc::Mode mode) {
  GPUHOST_TRY(Connect());
  return CallForProgress({Request::Call::kArm, mode, false});
}

absl::StatusOr<Progress> HardwareProcess::Disarm() {
  return CallForProgress({.call = Request::Call::kDisarm});
}

absl::StatusOr<Progress> HardwareProcess::Reset() {
  return CallForProgress({.call = Request::Call::kReset});
}

absl::StatusOr<Progress> HardwareProcess::CallForProgress(const Request& request) {
  GPUHOST_ASSIGN(const std::string answer, Call(request));
  auto progress = DecodeProgress(request.call, answer);
  if (!progress.ok()) return Gone(Text(progress.status()));
  return progress;
}

// Only between changes: one that was under way has gone with the side that made it.
absl::Status HardwareProcess::Connect() {
  if (!control_ || (link_.socket && !Ended())) return absl::OkStatus();
  link_.socket.Reset();
  std::vector<pollfd> found;
  if (!Wait({control_.get()}, kStartLimit, found)) return Gone("no other one has been started");
  // The newest counts.
  for (bool first = true;; first = false) {
    auto next = Receive(control_.get());
    if (!next.ok()) {
      control_.Reset();
      return Gone(Text(next.status()));
    }
    if (*next) link_ = *std::move(*next);
    if (!*next) return first ? Gone("no other one has been started") : absl::OkStatus();
  }
}

bool HardwareProcess::Ended() const {
  pollfd process{.fd = link_.process.get(), .events = POLLIN, .revents = 0};
  return ::poll(&process, 1, 0) > 0;
}

absl::StatusOr<std::string> HardwareProcess::Call(const Request& request) {
  if (!link_.socket) return Gone("what it had begun is not known");
  auto answer = Exchange(Encode(request));
  if (!answer.ok()) return Gone(Text(answer.status()));
  return answer;
}

absl::StatusOr<std::string> HardwareProcess::Exchange(const std::string& request) {
  const int socket = link_.socket.get();
  if (::send(socket, request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return ErrnoStatus(errno, "send a request");
  }
  std::vector<pollfd> found;
  if (!Wait({socket, link_.process.get()}, kCallLimit, found)) {
    return absl::DeadlineExceededError(give_up_at_ ? "no answer before the end of cc-manager"
                                                   : "no answer within 10 minutes");
  }
  // A child of the dead may still hold the socket, so its process is watched as well.
  if (found[0].revents == 0) return absl::AbortedError("it ended without an answer");
  std::string answer(kMaxMessage + 1, '\0');
  const ssize_t got = ::recv(socket, answer.data(), answer.size(), 0);
  if (got < 0) return ErrnoStatus(errno, "receive an answer");
  if (got == 0) return absl::AbortedError("it ended without an answer");
  answer.resize(static_cast<size_t>(got));
  return answer;
}

// Until one of `fds` is readable; false when the time is over, or what is left of it after a stop.
bool HardwareProcess::Wait(std::initializer_list<int> fds, Duration limit,
                           std::vector<pollfd>& found) {
  SystemClock clock;
  const TimePoint deadline = clock.Now() + limit;
  while (true) {
    found.clear();
    for (const int fd : fds) found.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    found.push_back({.fd = give_up_at_ ? -1 : stop_, .events = POLLIN, .revents = 0});
    const Duration left = std::min(deadline, give_up_at_.value_or(deadline)) - clock.Now();
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int ready =
        ::poll(found.data(), found.size(), static_cast<int>(std::max<int64_t>(rounded, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    if (found.back().revents == 0 || ready > 1) return true;
    give_up_at_ = clock.Now() + patience_;
  }
}

// What it says after this could belong to anything, so it is not listened to any more.
absl::Status HardwareProcess::Gone(std::string_view why) {
  link_.socket.Reset();
  return Error(absl::StatusCode::kUnavailable, "the hardware side is gone: {}{}", why,
               control_ ? "" : "; restart cc-manager");
}

int RunHardwareSide(const std::string& root, const cc::Policy& policy, int socket) {
  HostFs fs(root);
  SystemClock clock;
  gpu::Bar0Source registers(fs);
  absl::Status status = ConfineHardwareSide();
  if (status.ok()) {
    const auto life = ClaimLife(fs, clock, socket);
    if (!life.ok()) {
      service::Log(service::Level::kWarning, "nobody can see that the hardware side lives",
                   {{"error", life.status()}});
    }
    LocalHardware hardware({fs, clock, registers}, policy);
    status = Serve(hardware, socket);
  }
  if (status.ok()) return service::kDone;
  service::Log(service::Level::kError, "hardware side ends", {{"error", status}});
  return absl::IsDataLoss(status) ? kPeerTalksNonsense : service::kFailed;
}

}  // namespace gpuhost::cc_manager
