// SPDX-License-Identifier: Apache-2.0
//
// Real processes: the hardware side is a child over a fake machine of its own.
#include "daemons/cc-manager/hardware_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "daemons/cc-manager/hardware_server.h"
#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using cc::State;

namespace {

constexpr size_t kGpus = 2;

// What the hardware side leaves behind when it ends, in memory that it shares with the test.
struct Report {
  std::atomic<bool> ended{false};
  std::atomic<bool> served{false};  // Serve returned OK
  State effective[kGpus], pending[kGpus];
};

class SharedReport {
 public:
  SharedReport() {
    void* page =
        ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("mmap");
    report_ = new (page) Report;
  }
  ~SharedReport() { ::munmap(report_, sizeof(Report)); }
  Report* operator->() const { return report_; }

 private:
  Report* report_;
};

// Calls `at` before the access to registers with number `when`.
class Watched : public gpu::RegisterSource {
 public:
  Watched(fake::Machine& machine, int when, std::function<void()> at)
      : machine_(machine), left_(when), at_(std::move(at)) {}

  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override {
    GPUHOST_ASSIGN(auto registers, machine_.Open(device, access));
    return std::make_unique<Proxy>(*this, std::move(registers));
  }

 private:
  class Proxy : public gpu::Registers {
   public:
    Proxy(Watched& owner, std::unique_ptr<gpu::Registers> registers)
        : owner_(owner), registers_(std::move(registers)) {}
    absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
      owner_.Count();
      return registers_->Read32(offset);
    }
    absl::Status Write32(uint32_t offset, uint32_t value) override {
      owner_.Count();
      return registers_->Write32(offset, value);
    }

   private:
    Watched& owner_;
    std::unique_ptr<gpu::Registers> registers_;
  };
  void Count() {
    if (left_.fetch_sub(1) == 0) at_();
  }

  fake::Machine& machine_;
  std::atomic<int> left_;
  std::function<void()> at_;
};

// Runs as the hardware side until it is hung up on, then reports.
void RunHardware(int socket, SharedReport& report, int when = -1, std::function<void()> at = {}) {
  fake::Machine machine(kGpus);
  Watched watched(machine, when, std::move(at));
  {
    LocalHardware hardware({machine.kernel, machine.clock, watched});
    report->served = Serve(hardware, socket).ok();
  }
  for (size_t i = 0; i < kGpus; ++i) {
    report->effective[i] = machine.Effective(i);
    report->pending[i] = machine.Pending(i);
  }
  report->ended = true;
}

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
  const auto armed = hardware->Arm(Mode::kOn, false);
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
  REQUIRE(hardware->Arm(Mode::kOn, false)->status.ok());
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

TEST_CASE("the API side is killed at any access of a change: the GPUs end armed in no way") {
  int points = 0, switched = 0, stayed = 0;
  // A prime stride meets every phase; the accesses of one phase are alike.
  for (int when = 0;; when += 23) {
    CAPTURE(when);
    REQUIRE(when < 20000);
    SharedReport report;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t api = ::fork();
    REQUIRE(api >= 0);
    if (api == 0) {
      ::close(ends[0]);
      auto hardware = HardwareProcess::Fork([&](int socket) {
        RunHardware(socket, report, when, [api_side = ::getppid()] { ::kill(api_side, SIGKILL); });
      });
      const auto armed = (*hardware)->Arm(Mode::kOn, false);
      if (armed.ok() && armed->status.ok()) (*hardware)->Reset().IgnoreError();
      hardware->reset();
      ::_exit(0);
    }
    ::close(ends[1]);
    int status = 0;
    REQUIRE(::waitpid(api, &status, 0) == api);
    char byte;
    REQUIRE(::read(ends[0], &byte, 1) == 0);  // until the hardware side has ended, too
    ::close(ends[0]);
    REQUIRE(report->ended);
    for (size_t i = 0; i < kGpus; ++i) {
      REQUIRE(report->effective[i] == report->effective[0]);
      REQUIRE(report->pending[i] == report->effective[0]);
    }
    if (!WIFSIGNALED(status)) break;
    ++points;
    ++(report->effective[0] == State::kOn ? switched : stayed);
  }
  CAPTURE(points, switched, stayed);
  CHECK(stayed > 3);
  CHECK(switched > 3);
}

TEST_CASE("a hardware side that dies is unavailable, then and from then on") {
  SharedReport report;
  auto hardware = HardwareProcess::Fork([&](int socket) {
                    RunHardware(socket, report, 200, [] { ::kill(::getpid(), SIGKILL); });
                  }).value();
  absl::Status first;
  for (int i = 0; i < 100 && first.ok(); ++i) {
    first = hardware->Arm(Mode::kOn, false).status();
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
