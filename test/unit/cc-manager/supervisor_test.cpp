// SPDX-License-Identifier: Apache-2.0
//
// Real processes: the supervisor and its two children, over a fake machine.
#include "daemons/cc-manager/supervisor.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/cc-manager/fd_wakeup.h"
#include "daemons/cc-manager/hardware_process.h"
#include "daemons/common/service/exit_code.h"
#include "test/unit/cc-manager/watched_hardware.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using cc::State;

namespace {

constexpr Patience kQuick{.first_pause = Duration::zero(), .last_pause = Duration::zero()};

// Supervise in a child, process 1 of a PID namespace of its own where that may be made. A pipe
// tells when the last process that was started there has ended.
class Supervised {
 public:
  Supervised(const Sides& sides, const Patience& patience, bool own_namespace = false) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    lives_.Reset(ends[0]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      if (own_namespace) EnterNamespace();
      ::_exit(Supervise(sides, patience).value_or(99));
    }
    ::close(ends[1]);
  }

  pid_t pid() const { return pid_; }
  // The exit status, once all processes have ended.
  int Wait() {
    char byte;
    while (::read(lives_.get(), &byte, 1) > 0) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  // The parent stays outside and passes on the status of process 1.
  static void EnterNamespace() {
    if (::unshare(CLONE_NEWPID) != 0) return;
    const pid_t first = ::fork();
    if (first == 0) return;
    int status = 0;
    ::waitpid(first, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
  }

  pid_t pid_;
  UniqueFd lives_;
};

// A hardware side that leaves word of itself.
std::function<int(int)> RunsHardware(SharedReport& report, int when = -1,
                                     std::function<void()> at = {}) {
  return [&report, when, at](int socket) {
    report->hardware = ::getpid();
    ++report->started;
    RunHardware(socket, report, when, at);
    return report->served ? 0 : kPeerTalksNonsense;
  };
}

void CheckNothingArmed(SharedReport& report) {
  REQUIRE(report->ended);
  for (size_t i = 0; i < kGpus; ++i) {
    REQUIRE(report->effective[i] == report->effective[0]);
    REQUIRE(report->pending[i] == report->effective[0]);
  }
}

// The socket of the first hardware side, past HardwareProcess.
UniqueFd RawSocket(int control) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  if (::recvmsg(control, &message, 0) != 1) return UniqueFd();
  int fds[2];
  std::memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fds);
  ::close(fds[0]);
  return UniqueFd(fds[1]);
}

}  // namespace

TEST_CASE("both sides run, and the status of the API side is that of the program") {
  SharedReport report;
  Supervised program(
      {RunsHardware(report),
       [](UniqueFd control) {
         HardwareProcess hardware(std::move(control));
         return hardware.Arm(Mode::kOn)->status.ok() && hardware.Reset()->status.ok() ? 4 : 9;
       }},
      {});
  CHECK(program.Wait() == 4);
  CHECK(report->started == 1);
  CheckNothingArmed(report);
  CHECK(report->effective[0] == State::kOn);
}

// Linux ends all processes of a PID namespace with its process 1, which in a container is the
// program itself.
TEST_CASE("the API side is killed at any access of a change: the GPUs end armed in no way") {
  const bool own_namespace = GENERATE(false, true);
  int points = 0, switched = 0, stayed = 0;
  // A prime stride meets every phase; the accesses of one phase are alike.
  for (int when = 0;; when += 23) {
    CAPTURE(when, own_namespace);
    REQUIRE(when < 20000);
    SharedReport report;
    Supervised program({RunsHardware(report, when, [&report] { ::kill(report->api, SIGKILL); }),
                        [&report](UniqueFd control) {
                          report->api = ::getpid();
                          HardwareProcess hardware(std::move(control));
                          const auto armed = hardware.Arm(Mode::kOn);
                          if (armed.ok() && armed->status.ok()) hardware.Reset().IgnoreError();
                          return 0;
                        }},
                       kQuick, own_namespace);
    const int status = program.Wait();
    CheckNothingArmed(report);
    if (status == 0) break;
    REQUIRE(status == service::kFailed);
    ++points;
    ++(report->effective[0] == State::kOn ? switched : stayed);
  }
  CAPTURE(points, switched, stayed);
  CHECK(stayed > 3);
  CHECK(switched > 3);
}

TEST_CASE("a hardware side that dies in a change is started anew, and the API side goes on") {
  SharedReport report;
  Supervised program({RunsHardware(report),
                      [&report](UniqueFd control) {
                        HardwareProcess hardware(std::move(control));
                        bool good = hardware.Arm(Mode::kOn)->status.ok();
                        ::kill(report->hardware, SIGKILL);
                        good = good && absl::IsUnavailable(hardware.Reset().status());
                        good = good && absl::IsUnavailable(hardware.Disarm().status());
                        good = good && hardware.Query(Mode::kOn, true).ok();
                        good = good && hardware.Arm(Mode::kOn)->status.ok() &&
                               hardware.Reset()->status.ok();
                        return good ? 0 : 9;
                      }},
                     kQuick);
  CHECK(program.Wait() == 0);
  CHECK(report->started == 2);
  CHECK(report->effective[1] == State::kOn);
}

TEST_CASE("an API side that talks nonsense gets no other hardware side") {
  SharedReport report;
  Supervised program({RunsHardware(report),
                      [](UniqueFd control) {
                        const UniqueFd socket = RawSocket(control.get());
                        ::send(socket.get(), "arm all", 7, 0);
                        ::pause();
                        return 0;
                      }},
                     kQuick);
  CHECK(program.Wait() == service::kFailed);
  CHECK(report->started == 1);
}

TEST_CASE("SIGTERM goes to the API side alone") {
  SharedReport report;
  Supervised program({RunsHardware(report),
                      [](UniqueFd control) {
                        auto stop = service::StopSignal::Block();
                        HardwareProcess hardware(std::move(control));
                        if (!hardware.Arm(Mode::kOn)->status.ok()) return 9;
                        ::kill(::getppid(), SIGTERM);
                        service::WaitReadable({stop->fd()}, std::nullopt);
                        return hardware.Disarm()->status.ok() ? 5 : 9;
                      }},
                     kQuick);
  CHECK(program.Wait() == 5);
  CheckNothingArmed(report);
}

TEST_CASE("a program that is told to end does so, whatever its sides do") {
  SharedReport report;
  Patience patience = kQuick;
  patience.api_end = patience.all_end = Duration::zero();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const bool api_hangs = GENERATE(true, false);
  Supervised program({[&](int) {
                        report->hardware = ::getpid();
                        ::close(ends[0]);
                        ::close(ends[1]);
                        return ::raise(SIGSTOP);
                      },
                      [&](UniqueFd) {
                        while (report->hardware == 0) ::sched_yield();
                        ::kill(::getppid(), SIGTERM);
                        while (api_hangs) ::pause();
                        return 0;
                      }},
                     patience);
  ::close(ends[1]);
  char byte;
  CHECK(::read(ends[0], &byte, 1) == 0);  // the supervisor and the API side have ended
  ::close(ends[0]);
  REQUIRE(::kill(report->hardware, SIGKILL) == 0);
  const int status = program.Wait();
  CHECK((status == service::kFailed || (!api_hangs && status == 0)));
}

TEST_CASE("the death of the supervisor takes the API side with it, and leaves nothing armed") {
  SharedReport report;
  Supervised program({RunsHardware(report),
                      [](UniqueFd control) {
                        HardwareProcess hardware(std::move(control));
                        if (!hardware.Arm(Mode::kOn)->status.ok()) return 9;
                        ::kill(::getppid(), SIGKILL);
                        while (true) ::pause();
                      }},
                     kQuick);
  CHECK(program.Wait() == -1);
  CheckNothingArmed(report);
  CHECK(report->effective[0] == State::kOff);
}

TEST_CASE("the end of the hardware side wakes the loop at once") {
  fake::TempRoot root;
  auto hardware = HardwareProcess::Fork([](int) { ::pause(); }).value();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto wakeup = FdWakeup::Open(root.path());
    if (!wakeup.ok()) ::_exit(1);
    (*wakeup)->Watch(*hardware);
    ::kill(hardware->pid(), SIGKILL);
    const Woken woken = (*wakeup)->Wait(std::nullopt);
    ::_exit(woken.devices && !woken.stop ? 0 : 2);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
