// SPDX-License-Identifier: Apache-2.0
//
// Real processes: the hardware side is a child over a fake machine of its own.
#include "daemons/cc-manager/hardware_process.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/watched_hardware.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using cc::State;

namespace {

std::unique_ptr<HardwareProcess> Start(SharedReport& report) {
  return HardwareProcess::Fork([&](int socket) { RunHardware(socket, report); }).value();
}

std::unique_ptr<HardwareProcess> StartLiar(const std::string& answer) {
  return HardwareProcess::Fork([&](int socket) {
           char request[64];
           while (::recv(socket, request, sizeof request, 0) > 0) {
             ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL);
           }
         })
      .value();
}

// Serve as it answers one message.
absl::Status ServeOne(const std::string& message) {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  UniqueFd ours(ends[0]), theirs(ends[1]);
  REQUIRE(::send(ours.get(), message.data(), message.size(), 0) >= 0);
  ours.Reset();
  fake::Machine machine(1);
  LocalHardware hardware(machine.host());
  const absl::Status status = Serve(hardware, theirs.get());
  CHECK(machine.kernel.writes().empty());
  CHECK(machine.gpu(0).counters().bar_writes == 0);
  return status;
}

}  // namespace

TEST_CASE("a change goes through the process as if it were here") {
  SharedReport report;
  auto hardware = Start(report);
  CHECK_FALSE(hardware->Query(Mode::kOn, true)->settled);
  const auto armed = hardware->Arm(Mode::kOn);
  REQUIRE(armed.ok());
  CHECK(armed->status.ok());
  CHECK(armed->devices[1].pending == State::kOn);
  const auto done = hardware->Reset();
  CHECK(done->status.ok());
  CHECK(done->devices[1].state == State::kOn);
  CHECK(hardware->Query(Mode::kOn, true)->settled);
  CHECK(absl::IsFailedPrecondition(hardware->Disarm()->status));
  hardware.reset();
  CHECK(report->ended);
  CHECK(report->effective[0] == State::kOn);
}

TEST_CASE("who hangs up after arming leaves nothing armed") {
  SharedReport report;
  auto hardware = Start(report);
  REQUIRE(hardware->Arm(Mode::kOn)->status.ok());
  hardware.reset();
  CHECK(report->ended);
  CHECK(report->served);
  for (size_t i = 0; i < kGpus; ++i) {
    CHECK(report->effective[i] == State::kOff);
    CHECK(report->pending[i] == State::kOff);
  }
}

TEST_CASE("signals that are sent to all do not end the hardware side") {
  SharedReport report;
  auto hardware = Start(report);
  REQUIRE(hardware->Query(Mode::kOff, false).ok());  // it runs
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) REQUIRE(::kill(hardware->pid(), signal) == 0);
  CHECK(hardware->Query(Mode::kOff, false).ok());
}

TEST_CASE("after a signal to end no answer is waited for") {
  auto hardware = HardwareProcess::Fork([](int) { ::raise(SIGSTOP); }).value();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd stop(ends[0]), tell(ends[1]);
  REQUIRE(::write(tell.get(), "x", 1) == 1);
  hardware->HearStop(stop.get(), Duration::zero());
  CHECK(Text(hardware->Query(Mode::kOn, false).status()).find("before the end of cc-manager") !=
        std::string::npos);
  CHECK(absl::IsUnavailable(hardware->Reset().status()));
  REQUIRE(::kill(hardware->pid(), SIGKILL) == 0);
}

TEST_CASE("what is answered is taken although the program is to end") {
  SharedReport report;
  auto hardware = Start(report);
  REQUIRE(hardware->Arm(Mode::kOn)->status.ok());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd stop(ends[0]), tell(ends[1]);
  REQUIRE(::write(tell.get(), "x", 1) == 1);
  hardware->HearStop(stop.get(), std::chrono::minutes(5));
  CHECK(hardware->Disarm()->status.code() == absl::StatusCode::kOk);
  CHECK(hardware->Query(Mode::kOff, true)->settled);
}

TEST_CASE("a hardware side that dies is unavailable, then and from then on") {
  SharedReport report;
  auto hardware = HardwareProcess::Fork([&](int socket) {
                    RunHardware(socket, report, 200, [] { ::kill(::getpid(), SIGKILL); });
                  }).value();
  absl::Status first;
  for (int i = 0; i < 100 && first.ok(); ++i) {
    first = hardware->Arm(Mode::kOn).status();
    if (first.ok()) first = hardware->Reset().status();
  }
  CHECK(absl::IsUnavailable(first));
  CHECK(Text(first).find("restart cc-manager") != std::string::npos);
  CHECK(absl::IsUnavailable(hardware->Query(Mode::kOn, false).status()));
  CHECK(absl::IsUnavailable(hardware->Disarm().status()));
  CHECK_FALSE(report->ended);
}

TEST_CASE("a hardware side that lies is not believed, and not asked again") {
  const std::string good = Encode(Request::Call::kQuery, Survey{}).value();
  const std::string answer = GENERATE_COPY(
      std::string("nonsense"), good.substr(1), good + "x", std::string(4, '\0'),
      Encode(Request::Call::kArm, Progress{}).value(), std::string(kMaxMessage + 100, '\1'));
  auto hardware = StartLiar(answer);
  CHECK(absl::IsUnavailable(hardware->Query(Mode::kOn, false).status()));
  CHECK(absl::IsUnavailable(hardware->Query(Mode::kOn, false).status()));
}

TEST_CASE("a truthful hardware side of the same making is believed") {
  auto hardware = StartLiar(Encode(Request::Call::kQuery, Survey{.settled = true}).value());
  CHECK(hardware->Query(Mode::kOn, false)->settled);
}

TEST_CASE("requests that make no sense end the hardware side before it touches anything") {
  CHECK(absl::IsDataLoss(ServeOne("arm all")));
  CHECK(absl::IsDataLoss(ServeOne(std::string(3, '\0'))));
  CHECK(absl::IsDataLoss(ServeOne(Encode(Request{}) + "x")));
  CHECK(absl::IsDataLoss(ServeOne(std::string(5000, '\1'))));
  CHECK(ServeOne(Encode(Request{})).ok());
}
