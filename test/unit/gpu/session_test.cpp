// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/session.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using gpu::Knob;
using std::chrono::seconds;
using vgpu::Fault;

namespace {

constexpr uint32_t kRequestInfo = 0x8f1f84;
const std::string kDevice = "/sys/bus/pci/devices/0000:01:00.0/";

absl::StatusOr<std::unique_ptr<gpu::Session>> Open(fake::Machine& machine,
                                                   const gpu::Session::MayReset& may = {}) {
  return gpu::Session::Open(machine.host(), machine.DeviceOf(0), may);
}

// Somebody has announced a request to the mailbox and died before its first word.
void CutMessage(fake::Machine& machine) {
  const auto registers = *machine.Open(machine.DeviceOf(0), gpu::Access::kReadWrite);
  REQUIRE(registers->Write32(kRequestInfo, 12 | 1u << 20).ok());
}

}  // namespace

TEST_CASE("another chip that answers after the reset is not taken for the device") {
  fake::Machine machine(1, GENERATE("h100-pcie", "b200"));
  const auto session = Open(machine);
  REQUIRE(session.ok());
  machine.gpu(0).Set(Fault::kReplaced);
  const absl::Status reset = (*session)->Reset();
  CHECK(absl::IsDataLoss(reset));
  CHECK(Text(reset).find("PMC_BOOT_0 was") == 0);
}

TEST_CASE("of a device that has left the bus no register is touched any more") {
  fake::Machine machine;
  const auto session = Open(machine);
  REQUIRE(session.ok());
  machine.gpu(0).Set(Fault::kConfigLost);
  const auto before = machine.gpu(0).counters();
  CHECK(absl::IsUnavailable((*session)->Reconnect()));
  CHECK(machine.gpu(0).counters().bar_reads == before.bar_reads);
  CHECK(machine.gpu(0).counters().bar_writes == before.bar_writes);
}

TEST_CASE("a device is woken by who has its lock, not before") {
  fake::Machine machine;
  const auto first = Open(machine);
  REQUIRE(first.ok());
  machine.root.File(kDevice + "power/control", "auto\n");
  machine.gpu(0).Set(Fault::kAsleepD3hot);
  const auto before = machine.gpu(0).counters();
  CHECK_FALSE(Open(machine).ok());
  CHECK(machine.gpu(0).counters().config_writes == before.config_writes);
  CHECK(machine.root.Content(kDevice + "power/control") == "auto\n");
}

// Linux 6.1, pci_dev_wait(): "not ready 65535ms after FLR; giving up", then the next method.
TEST_CASE("a reset gets the time that its methods may take") {
  fake::Machine machine;
  const bool flr_alone = GENERATE(true, false);
  if (flr_alone) machine.root.File(kDevice + "reset_method", "flr\n");
  const auto session = Open(machine);
  REQUIRE(session.ok());
  SECTION("the kernel gives up, or the bus brings the device back") {
    machine.gpu(0).Set(Fault::kSlowReset);
    CHECK((*session)->Reset().ok() == !flr_alone);
    CHECK_FALSE((*session)->stuck());
  }
  SECTION("the kernel never comes back") {
    machine.gpu(0).Set(Fault::kResetHangs);
    const TimePoint start = machine.clock.Now();
    CHECK(absl::IsDeadlineExceeded((*session)->Reset()));
    CHECK((*session)->stuck());
    CHECK(machine.clock.Now() - start == (flr_alone ? seconds(75) : seconds(140)));
  }
}

TEST_CASE("a device in whose reset the kernel hangs is not put to sleep again") {
  fake::Machine machine;
  machine.root.File(kDevice + "power/control", "auto\n");
  machine.gpu(0).WriteConfig(0x04, 2, 0);
  auto session = *Open(machine);
  machine.gpu(0).Set(Fault::kResetHangs);
  REQUIRE_FALSE(session->Reset().ok());
  const auto before = machine.gpu(0).counters();
  session.reset();
  CHECK(machine.gpu(0).counters().config_writes == before.config_writes);
  CHECK(machine.root.Content(kDevice + "power/control") == "on\n");
}

TEST_CASE("a device that answers with faults once it is awake is not opened") {
  fake::Machine machine(1, GENERATE("h100-pcie", "b200"));
  machine.gpu(0).Set(Fault::kAsleepD3hot);
  machine.gpu(0).Set(Fault::kFaultAfterWake);
  const absl::Status status = Open(machine, [] { return absl::OkStatus(); }).status();
  CHECK(absl::IsDataLoss(status));
  CHECK(Text(status).find("0xbadf1001") != std::string::npos);
  CHECK(machine.gpu(0).counters().bar_writes == 0);
  CHECK(machine.gpu(0).counters().resets == 0);
}

TEST_CASE("firmware that nobody can talk to is reset once, where that is allowed") {
  fake::Machine machine(1, "b200");
  CutMessage(machine);
  SECTION("who only asks does not") {
    CHECK(absl::IsDeadlineExceeded(Open(machine).status()));
    CHECK(machine.gpu(0).counters().resets == 0);
  }
  SECTION("allowed") {
    const auto session = Open(machine, [] { return absl::OkStatus(); });
    REQUIRE(session.ok());
    CHECK((*session)->firmware().Read(Knob::kCcMode).value() == 0);
    CHECK(machine.gpu(0).counters().resets == 1);
  }
  SECTION("forbidden") {
    const auto in_use = [] { return absl::FailedPreconditionError("in use by qemu"); };
    CHECK(Text(Open(machine, in_use).status()).find("in use by qemu") != std::string::npos);
    CHECK(machine.gpu(0).counters().resets == 0);
  }
}

TEST_CASE("firmware that stays silent after its reset is given up") {
  fake::Machine machine(1, GENERATE("h100-pcie", "b200"));
  machine.gpu(0).Set(Fault::kRpcSilent);
  const absl::Status status = Open(machine, [] { return absl::OkStatus(); }).status();
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK(Text(status).find("reset for that: FSP d") != std::string::npos);
  CHECK(machine.gpu(0).counters().resets == 1);
}

namespace {

// Registers that the kernel takes away after so many reads.
class Claimed : public gpu::RegisterSource {
 public:
  Claimed(fake::Machine& machine, int reads) : machine_(machine), left_(reads) {}
  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override {
    return std::make_unique<Window>(*machine_.Open(device, access), left_);
  }
  int left() const { return left_; }

 private:
  class Window : public gpu::Registers {
   public:
    Window(std::unique_ptr<gpu::Registers> registers, int& left)
        : registers_(std::move(registers)), left_(left) {}
    absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
      return left_-- > 0 ? registers_->Read32(offset) : 0xffffffff;
    }
    absl::Status Write32(uint32_t offset, uint32_t value) override {
      return registers_->Write32(offset, value);
    }

   private:
    std::unique_ptr<gpu::Registers> registers_;
    int& left_;
  };
  fake::Machine& machine_;
  int left_;
};

}  // namespace

TEST_CASE("a device that a virtual machine claims while its firmware is silent is not reset") {
  const std::string_view board = GENERATE("h100-pcie", "b200");
  constexpr int kMany = 1000000;
  const auto open = [&](int reads, const gpu::Session::MayReset& may) {
    fake::Machine machine(1, board);
    machine.gpu(0).Set(Fault::kRpcSilent);
    Claimed registers(machine, reads);
    const gpu::Host host{machine.kernel, machine.clock, registers};
    const auto session = gpu::Session::Open(host, machine.DeviceOf(0), may);
    CHECK_FALSE(session.ok());
    CHECK(machine.gpu(0).counters().resets == 0);
    return kMany - registers.left();
  };
  const int until_given_up = open(kMany, {});
  for (const int reads : {until_given_up / 2, until_given_up - 1, until_given_up}) {
    CAPTURE(reads);
    open(reads, [] { return absl::OkStatus(); });
  }
}
