// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/hardware_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "daemons/cc-manager/confine.h"
#include "daemons/cc-manager/hardware_server.h"
#include "daemons/cc-manager/local_hardware.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"

namespace gpuhost::cc_manager {
namespace {

constexpr int kCallLimit = 600'000;  // ms; two resets, boots and locks come to less than 300 s
constexpr int kEndLimit = 70'000;    // ms

// poll(2) that a signal does not cut short; the limit then starts again.
bool Poll(std::initializer_list<pollfd> wanted, int limit, std::vector<pollfd>& waiting) {
  waiting.assign(wanted);
  int ready = 0;
  do {
    ready = ::poll(waiting.data(), waiting.size(), limit);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

[[noreturn]] void RunChild(int socket, const std::function<void(int socket)>& serve) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  ::prctl(PR_SET_NAME, "cc-hardware");
  serve(socket);
  ::_exit(0);
}

}  // namespace

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
      new HardwareProcess(child, std::move(process), std::move(ours)));
}

HardwareProcess::~HardwareProcess() {
  socket_.Reset();
  std::vector<pollfd> waiting;
  Poll({{.fd = process_.get(), .events = POLLIN, .revents = 0}}, kEndLimit, waiting);
  ::waitpid(pid_, nullptr, WNOHANG);
}

absl::StatusOr<Survey> HardwareProcess::Query(cc::Mode mode, bool ask_firmware) {
  const Request request{Request::Call::kQuery, mode, ask_firmware};
  GPUHOST_ASSIGN(const std::string answer, Call(request));
  auto survey = DecodeSurvey(request.call, answer);
  if (!survey.ok()) return Gone(Text(survey.status()));
  return survey;
}

absl::StatusOr<Progress> HardwareProcess::Arm(cc::Mode mode, bool force) {
  return CallForProgress({Request::Call::kArm, mode, force});
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

absl::StatusOr<std::string> HardwareProcess::Call(const Request& request) {
  if (!socket_) return absl::UnavailableError("the hardware side is gone; restart cc-manager");
  auto answer = Exchange(Encode(request));
  if (!answer.ok()) return Gone(Text(answer.status()));
  return answer;
}

absl::StatusOr<std::string> HardwareProcess::Exchange(const std::string& request) {
  if (::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return ErrnoStatus(errno, "send a request");
  }
  std::vector<pollfd> waiting;
  const bool ready = Poll({{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                           {.fd = process_.get(), .events = POLLIN, .revents = 0}},
                          kCallLimit, waiting);
  if (!ready) return absl::DeadlineExceededError("no answer within 10 minutes");
  // A child of the dead may still hold the socket, so its process is watched as well.
  if (waiting[0].revents == 0) return absl::AbortedError("it ended without an answer");
  std::string answer(kMaxMessage + 1, '\0');
  const ssize_t got = ::recv(socket_.get(), answer.data(), answer.size(), 0);
  if (got < 0) return ErrnoStatus(errno, "receive an answer");
  if (got == 0) return absl::AbortedError("it ended without an answer");
  answer.resize(static_cast<size_t>(got));
  return answer;
}

// What it says after this could belong to anything, so it is not listened to any more.
absl::Status HardwareProcess::Gone(std::string_view why) {
  socket_.Reset();
  return Error(absl::StatusCode::kUnavailable, "the hardware side is gone: {}; restart cc-manager",
               why);
}

absl::StatusOr<std::unique_ptr<HardwareProcess>> StartHardwareProcess(const std::string& root) {
  return HardwareProcess::Fork([&root](int socket) {
    HostFs fs(root);
    SystemClock clock;
    gpu::Bar0Source registers(fs);
    absl::Status status = ConfineHardwareSide();
    if (status.ok()) {
      LocalHardware hardware({fs, clock, registers});
      status = Serve(hardware, socket);
    }
    if (!status.ok())
      service::Log(service::Level::kError, "hardware side ends", {{"error", status}});
  });
}

}  // namespace gpuhost::cc_manager
