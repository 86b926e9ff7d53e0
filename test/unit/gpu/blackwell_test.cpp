// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/observe.h"
#include "libgpuhost/gpu/boot.h"
#include "libgpuhost/gpu/diagnostics.h"
#include "libgpuhost/gpu/fsp_mnoc.h"
#include "libgpuhost/gpu/prc.h"
#include "libgpuhost/gpu/session.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using gpu::Bar0State;
using gpu::Knob;
using vgpu::Fault;

namespace {

struct Mailbox {
  Mailbox() : registers(*machine.Open(machine.DeviceOf(0), gpu::Access::kReadWrite)) {}

  fake::Machine machine{1, "b200"};
  std::unique_ptr<gpu::Registers> registers;
  gpu::FspMnoc transport{*registers, machine.clock};
  gpu::Prc firmware{transport};
};

// Shows no more of configuration space than that: 256 bytes in a virtual machine, 64 to a process
// without CAP_SYS_ADMIN.
class Narrow : public fake::FakeKernel {
 public:
  explicit Narrow(fake::Machine& machine, off_t size = 256)
      : FakeKernel(machine.root), machine_(machine), size_(size) {}
  absl::StatusOr<std::string> ReadAt(std::string_view path, off_t offset,
                                     size_t count) const override {
    if (offset >= size_) return absl::OutOfRangeError("short read");
    return machine_.kernel.ReadAt(path, offset, count);
  }

 private:
  fake::Machine& machine_;
  const off_t size_;
};

Bar0State Look(fake::Machine& machine) {
  const pci::Device device = machine.DeviceOf(0);
  const auto state =
      gpu::LookAtBar0(pci::ConfigSpace(machine.kernel, device.bdf), *gpu::FindChip(device)->layout);
  return state.value();
}

}  // namespace

TEST_CASE("knobs travel through the mailbox") {
  Mailbox mailbox;
  REQUIRE(mailbox.transport.Initialize().ok());
  CHECK(mailbox.firmware.Read(Knob::kCcMode).value() == 0);
  REQUIRE(mailbox.firmware.Write(Knob::kCcMode, 1).ok());
  CHECK(mailbox.machine.gpu(0).knob(8) == 1);
  CHECK(absl::IsNotFound(mailbox.firmware.Read(Knob::kPpcie).status()));
}

TEST_CASE("an answer that somebody left in the mailbox is not taken for ours") {
  Mailbox mailbox;
  mailbox.machine.gpu(0).SetKnob(8, 1);
  mailbox.machine.gpu(0).Set(Fault::kStaleQueue);
  REQUIRE(mailbox.transport.Initialize().ok());
  CHECK(mailbox.firmware.Read(Knob::kCcMode).value() == 1);
}

TEST_CASE("a request of many chunks arrives whole, one beyond the mailbox is refused") {
  Mailbox mailbox;
  std::vector<uint32_t> packet(1040, 0);  // 4160 bytes
  packet[0] = 0xc0000000;
  packet[1] = 0x1410de7e;  // a type that is answered with an error
  REQUIRE(mailbox.transport.Send(packet).ok());
  const auto answer = mailbox.transport.Receive(gpu::kAnswerLimit);
  REQUIRE(answer.ok());
  CHECK(*answer == std::vector<uint32_t>{0xc0000000, 0x1510de7e, 0, 0x14, 0xa0});
  packet.push_back(0);
  CHECK(absl::IsInvalidArgument(mailbox.transport.Send(packet)));
  CHECK(absl::IsInvalidArgument(mailbox.transport.Send({})));
}

TEST_CASE("a mailbox that hangs or lies about its size is an error with a text") {
  Mailbox mailbox;
  mailbox.machine.gpu(0).Set(Fault::kRpcOversize);
  CHECK(Text(mailbox.firmware.Read(Knob::kCcMode).status()).find("1048575 bytes") !=
        std::string::npos);
  Mailbox silent;
  silent.machine.gpu(0).Set(Fault::kRpcSilent);
  CHECK(absl::IsDeadlineExceeded(silent.firmware.Read(Knob::kCcMode).status()));
}

TEST_CASE("while the firewall is closed nobody touches BAR0") {
  const std::string_view board = GENERATE("b200", "rtx-pro-6000");
  fake::Machine machine(1, board);
  CHECK(Look(machine) == Bar0State::kOpen);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  CHECK(Look(machine) == Bar0State::kClosed);
  const auto before = machine.gpu(0).counters().bar_reads;
  const cc::Observation seen = cc::Observe(machine.host(), machine.DeviceOf(0));
  CHECK(Text(seen.state.status()) == "firmware is booting");
  CHECK(machine.gpu(0).counters().bar_reads == before);
  machine.clock.SleepFor(std::chrono::milliseconds(800));
  CHECK(Look(machine) == Bar0State::kOpen);
}

TEST_CASE("where extended configuration space is hidden the firewall gets its time") {
  fake::Machine machine(1, "b200");
  Narrow kernel(machine);
  const gpu::Layout& layout = *gpu::FindChip(machine.DeviceOf(0))->layout;
  const pci::ConfigSpace config(kernel, machine.DeviceOf(0).bdf);
  CHECK(gpu::LookAtBar0(config, layout).value() == Bar0State::kUnknown);
  const TimePoint start = machine.clock.Now();
  CHECK(gpu::WaitForBar0(config, layout, machine.clock).ok());
  CHECK(machine.clock.Now() - start == std::chrono::seconds(3));
}

TEST_CASE("BAR0 is not looked at while nobody can see whether its firewall is open") {
  fake::Machine machine(1, GENERATE("b200", "rtx-pro-6000"));
  Narrow kernel(machine, 64);
  const gpu::Host host{kernel, machine.clock, machine};
  const bool just_reset = GENERATE(true, false);
  if (just_reset) REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  const absl::Status seen = cc::Observe(host, machine.DeviceOf(0)).state.status();
  CHECK(cc::IsTransient(seen));
  CHECK(Text(seen).find("hidden") != std::string::npos);
  CHECK(gpu::ReadDiagnostics(host, machine.DeviceOf(0)).registers.empty());
  CHECK(machine.gpu(0).counters().bar_reads == 0);
}

TEST_CASE("a change goes on where the firewall cannot be seen, after its time") {
  fake::Machine machine(1, "b200");
  Narrow kernel(machine);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  const auto session = gpu::Session::Open({kernel, machine.clock, machine}, machine.DeviceOf(0));
  REQUIRE(session.ok());
  CHECK((*session)->ReadModeWord().value() == 0);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  CHECK((*session)->Reconnect().ok());
  CHECK(machine.gpu(0).counters().too_early == 0);
}

TEST_CASE("each board has the chip that its ids say") {
  const auto chip = [](std::string_view board) {
    fake::Machine machine(1, board);
    return gpu::FindChip(machine.DeviceOf(0));
  };
  CHECK(chip("h20-sxm")->name == "GH100");
  CHECK(chip("b200")->name == "GB100");
  CHECK(chip("b300")->name == "GB110");
  CHECK(chip("rtx-pro-6000")->name == "GB202");
  CHECK(chip("nvswitch-2")->layout == nullptr);
  CHECK(chip("a100")->layout == nullptr);

  const auto coupled = [](std::string_view board) {
    fake::Machine machine(1, board);
    return gpu::IsCoupled(machine.DeviceOf(0));
  };
  for (const char* board : {"gh200", "gb200", "gb300"}) CHECK(coupled(board));
  for (const char* board : {"h100-sxm", "b200", "b300", "nvswitch"}) CHECK_FALSE(coupled(board));
}
