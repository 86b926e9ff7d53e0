// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/supervisor.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "daemons/cc-manager/hardware_process.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using service::Level;
using service::Log;

constexpr Duration kLongLife = std::chrono::minutes(1);

sigset_t Heard() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

std::string HowEnded(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("status {}", WEXITSTATUS(status));
}

absl::Status MakePair(int type, UniqueFd& one, UniqueFd& other) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make a socket pair");
  }
  one.Reset(ends[0]);
  other.Reset(ends[1]);
  return absl::OkStatus();
}

class Supervisor {
 public:
  Supervisor(const Sides& sides, const Patience& patience)
      : sides_(sides), patience_(patience), pause_(patience.first_pause) {}

  absl::Status Start() {
    const sigset_t heard = Heard();
    if (::sigprocmask(SIG_BLOCK, &heard, nullptr) != 0) return ErrnoStatus(errno, "block signals");
    signals_.Reset(::signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoStatus(errno, "signalfd");
    ::signal(SIGPIPE, SIG_IGN);  // who reads our log may go
    std::fflush(nullptr);        // or both children would say it again
    GPUHOST_TRY(StartApi());
    return StartHardware();
  }

  int Run() {
    while (!api_status_) {
      Wait(NextEvent());
      if (hardware_ == 0 && clock_.Now() >= start_hardware_at_) TryHardware();
      if (stop_ && clock_.Now() >= *stop_ + patience_.api_end) Kill(SIGKILL);
      if (stop_ && clock_.Now() >= *stop_ + patience_.all_end) return service::kFailed;
    }
    control_.Reset();
    const TimePoint ended = clock_.Now();
    while (hardware_ != 0) {
      const TimePoint until = stop_ ? *stop_ + patience_.all_end : ended + patience_.hardware_end;
      if (clock_.Now() >= until) break;
      Wait(until);
    }
    return *api_status_;
  }

 private:
  absl::Status StartApi() {
    UniqueFd theirs;
    GPUHOST_TRY(MakePair(SOCK_SEQPACKET, control_, theirs));
    const pid_t parent = ::getpid();
    api_ = ::fork();
    if (api_ < 0) return ErrnoStatus(errno, "fork the API side");
    if (api_ > 0) return absl::OkStatus();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(service::kFailed);
    control_.Reset();
    signals_.Reset();
    // The three others stay blocked until the API side reads them.
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_UNBLOCK, &children, nullptr);
    const int status = sides_.api(std::move(theirs));
    std::fflush(nullptr);
    ::_exit(status);
  }

  absl::Status StartHardware() {
    HardwareLink link;
    UniqueFd theirs;
    GPUHOST_TRY(MakePair(SOCK_SEQPACKET, link.socket, theirs));
    const pid_t child = ::fork();
    if (child < 0) return ErrnoStatus(errno, "fork the hardware side");
    if (child == 0) {
      link.socket.Reset();
      control_.Reset();
      signals_.Reset();
      for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
      const sigset_t heard = Heard();
      ::sigprocmask(SIG_UNBLOCK, &heard, nullptr);
      ::prctl(PR_SET_NAME, "cc-hardware");
      ::_exit(sides_.hardware(theirs.get()));
    }
    hardware_ = child;
    hardware_since_ = clock_.Now();
    link.process.Reset(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (!link.process) return ErrnoStatus(errno, "watch the hardware side (kernel 5.3 or newer)");
    return Send(control_.get(), link);
  }

  void TryHardware() {
    const absl::Status started = StartHardware();
    if (started.ok()) return;
    Log(Level::kError, "hardware side not started, trying again", {{"error", started}});
    start_hardware_at_ = clock_.Now() + patience_.last_pause;
  }

  std::optional<TimePoint> NextEvent() {
    std::optional<TimePoint> next;
    if (hardware_ == 0) next = start_hardware_at_;
    if (!stop_) return next;
    const TimePoint killing = *stop_ + patience_.api_end;
    const TimePoint due = clock_.Now() < killing ? killing : *stop_ + patience_.all_end;
    return std::min(next.value_or(due), due);
  }

  void Wait(std::optional<TimePoint> until) {
    const auto limit = until ? std::optional(*until - clock_.Now()) : std::nullopt;
    service::WaitReadable({signals_.get()}, limit);
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGCHLD) continue;
      if (signal.ssi_signo != SIGHUP && !stop_) stop_ = clock_.Now();
      Kill(static_cast<int>(signal.ssi_signo));
    }
    Reap();
  }

  // As process 1 of a container also those that nobody else waits for.
  void Reap() {
    int status = 0;
    for (pid_t child = 0; (child = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (child == api_) ApiEnded(status);
      if (child == hardware_) HardwareEnded(status);
    }
  }

  void ApiEnded(int status) {
    api_ = 0;
    api_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : service::kFailed;
    if (!WIFEXITED(status)) Log(Level::kError, "API side died", {{"of", HowEnded(status)}});
  }

  void HardwareEnded(int status) {
    hardware_ = 0;
    start_hardware_at_ = TimePoint::max();
    if (api_status_ || stop_) return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == kPeerTalksNonsense) return Kill(SIGKILL);
    if (clock_.Now() - hardware_since_ >= kLongLife) pause_ = patience_.first_pause;
    start_hardware_at_ = clock_.Now() + pause_;
    pause_ = std::min(2 * pause_, patience_.last_pause);
    // Hung up on, by an API side that is about to end or wants another one.
    if (WIFEXITED(status) && WEXITSTATUS(status) == service::kDone) return;
    Log(Level::kError, "hardware side died, another is started", {{"of", HowEnded(status)}});
  }

  void Kill(int signal) {
    if (api_ > 0) ::kill(api_, signal);
  }

  const Sides& sides_;
  const Patience& patience_;
  SystemClock clock_;
  UniqueFd signals_, control_;
  pid_t api_ = 0, hardware_ = 0;  // 0: does not run
  std::optional<int> api_status_;
  std::optional<TimePoint> stop_;  // when the first signal to end came
  TimePoint hardware_since_{}, start_hardware_at_{};
  Duration pause_;
};

}  // namespace

absl::StatusOr<int> Supervise(const Sides& sides, const Patience& patience) {
  Supervisor supervisor(sides, patience);
  GPUHOST_TRY(supervisor.Start());
  return supervisor.Run();
}

}  // namespace gpuhost::cc_manager
