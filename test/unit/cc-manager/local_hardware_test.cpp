// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/local_hardware.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;
using cc_manager::LocalHardware;
using cc_manager::Progress;
using cc_manager::Survey;
using vgpu::Fault;

namespace {

struct Node {
  template <typename... Args>
  explicit Node(Args... args) : machine(args...) {}
  Survey Query(Mode mode, bool ask = false) { return hardware.Query(mode, ask).value(); }
  bool NothingArmed() {
    for (size_t i = 0; i < machine.size(); ++i) {
      if (machine.Pending(i) != machine.Effective(i)) return false;
    }
    return true;
  }
  uint64_t Resets() {
    uint64_t resets = 0;
    for (size_t i = 0; i < machine.size(); ++i) resets += machine.gpu(i).counters().resets;
    return resets;
  }

  fake::Machine machine;
  LocalHardware hardware{machine.host()};
};

}  // namespace

TEST_CASE("a query writes nothing") {
  const std::string_view board = GENERATE("h100-sxm", "b200", "nvswitch", "a100");
  Node node(2, board);
  for (size_t i = 0; i < 2; ++i) node.machine.gpu(i).ForbidBarWrites(true);
  node.machine.gpu(1).Set(Fault::kDead);
  for (const Mode mode : {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie}) node.Query(mode);
  CHECK(node.machine.kernel.writes().empty());
  for (size_t i = 0; i < 2; ++i) {
    CHECK(node.machine.gpu(i).counters().violations == 0);
    CHECK(node.machine.gpu(i).counters().config_writes == 1);  // of the machine's own making
  }
}

TEST_CASE("a survey says whether there is something to do") {
  Node node(2);
  CHECK(node.Query(Mode::kOff).settled);
  CHECK_FALSE(node.Query(Mode::kOn).settled);
  CHECK(node.Query(Mode::kOn).admission.ok());

  node.machine.gpu(1).SetKnob(8, 1);                                   // armed by somebody else
  CHECK_FALSE(node.Query(Mode::kOff).devices[1].pending.has_value());  // only the firmware knows
  const Survey asked = node.Query(Mode::kOff, true);
  CHECK_FALSE(asked.settled);
  CHECK(asked.devices[0].pending == State::kOff);
  CHECK(asked.devices[1].pending == State::kOn);
  CHECK(asked.devices[1].state == State::kOff);

  CHECK(absl::IsNotFound(Node(0).Query(Mode::kOff).admission));
  CHECK_FALSE(Node(0).Query(Mode::kOff).settled);
  CHECK(Node(1, "a100").Query(Mode::kOff).settled);
  CHECK_FALSE(Node(1, "a100").Query(Mode::kOn).settled);
}

TEST_CASE("only users in the way are busy") {
  Node node(2);
  node.machine.HoldOpen(1, 4711, "qemu");
  const Survey busy = node.Query(Mode::kOn);
  CHECK(absl::IsFailedPrecondition(busy.admission));
  CHECK(busy.busy);
  CHECK(busy.devices[1].in_use_by == "qemu (pid 4711)");
  CHECK_FALSE(node.Query(Mode::kOff).busy);
  node.machine.gpu(0).Set(Fault::kDead);
  CHECK_FALSE(node.Query(Mode::kOn).busy);  // it would be refused without the user as well
}

TEST_CASE("the firmware of a GPU in use is not asked") {
  Node node(1);
  node.machine.HoldOpen(0, 4711, "qemu");
  node.machine.gpu(0).ForbidBarWrites(true);
  CHECK_FALSE(node.Query(Mode::kOff, true).devices[0].pending.has_value());
  CHECK(node.machine.gpu(0).counters().violations == 0);
}

TEST_CASE(
    "a sleeping GPU is where it was last seen; one that was never seen awake is not settled") {
  Node node(1);
  const std::string state = "/sys/bus/pci/devices/0000:01:00.0/power_state";
  node.machine.root.File(state, "D3hot\n");
  CHECK_FALSE(node.Query(Mode::kOff).settled);
  CHECK(node.Query(Mode::kOff).devices[0].error.find("asleep") == 0);
  node.machine.root.File(state, "D0\n");
  CHECK(node.Query(Mode::kOff).settled);
  node.machine.root.File(state, "D3hot\n");
  CHECK(node.Query(Mode::kOff).settled);
  CHECK(node.Query(Mode::kOff).devices[0].error.empty());
}

TEST_CASE("a sleeping GPU whose BAR0 the kernel forbids refuses the change untouched") {
  Node node(1);
  class Forbidden : public gpu::RegisterSource {
    absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device&, gpu::Access) override {
      return absl::PermissionDeniedError("locked down");
    }
  } forbidden;
  node.machine.root.File("/sys/bus/pci/devices/0000:01:00.0/power_state", "D3hot\n");
  node.machine.root.File("/sys/bus/pci/devices/0000:01:00.0/power/control", "auto\n");
  LocalHardware hardware({node.machine.kernel, node.machine.clock, forbidden});
  CHECK(absl::IsPermissionDenied(hardware.Arm(Mode::kOn)->status));
  CHECK(node.machine.kernel.writes().empty());
}

TEST_CASE("arm, then reset: the whole node is in the mode and shows it") {
  Node node(std::vector<std::string_view>{"h100-sxm", "h100-sxm", "nvswitch"});
  const auto armed = node.hardware.Arm(Mode::kPpcie);
  REQUIRE(armed->status.ok());
  for (const auto& device : armed->devices) {
    CHECK(device.state == State::kOff);
    CHECK(device.pending == State::kPpcie);
    CHECK_FALSE(device.reset);
  }
  const Survey between = node.Query(Mode::kPpcie, true);
  CHECK(between.devices[0].pending == State::kPpcie);
  CHECK_FALSE(between.settled);
  CHECK(node.Resets() == 0);

  const auto done = node.hardware.Reset();
  REQUIRE(done->status.ok());
  for (const auto& device : done->devices) {
    CHECK(device.state == State::kPpcie);
    CHECK(device.reset);
  }
  CHECK(node.Resets() == 3);
  CHECK(done->reset > Duration::zero());
  CHECK(node.Query(Mode::kPpcie, true).settled);
}

TEST_CASE("what may not be changed is refused and nothing is touched") {
  Node node(2);
  node.machine.HoldOpen(1, 4711, "qemu");
  const auto refused = node.hardware.Arm(Mode::kOn);
  CHECK(absl::IsFailedPrecondition(refused->status));
  CHECK(refused->devices[1].in_use_by == "qemu (pid 4711)");
  CHECK(node.machine.kernel.writes().empty());
  CHECK(node.machine.gpu(0).counters().bar_writes == 0);
  CHECK(absl::IsFailedPrecondition(node.hardware.Reset()->status));
  CHECK(absl::IsFailedPrecondition(node.hardware.Disarm()->status));
}

TEST_CASE("one GPU that says no to its knobs keeps all from being changed") {
  const Fault fault = GENERATE(Fault::kKnobLocked, Fault::kRpcError, Fault::kRpcSilent);
  Node node(3);
  node.machine.gpu(1).Set(fault);
  CHECK_FALSE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK(node.NothingArmed());
  // A firmware that does not answer is reset once, before it is given up.
  CHECK(node.Resets() == (fault == Fault::kRpcSilent ? 1 : 0));
  node.machine.gpu(1).Set(fault, false);
  CHECK(node.hardware.Arm(Mode::kOn)->status.ok());  // and nothing is left in its way
}

TEST_CASE("a second change waits for the first to be ended") {
  Node node(1);
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK(absl::IsFailedPrecondition(node.hardware.Arm(Mode::kOff)->status));
  CHECK(node.machine.Pending(0) == State::kOn);
  CHECK(node.hardware.Disarm()->status.ok());
  CHECK(node.NothingArmed());
}

TEST_CASE("a GPU that somebody opens between arm and reset stops the change") {
  Node node(3);
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  node.machine.HoldOpen(2, 4711, "qemu");
  const auto refused = node.hardware.Reset();
  CHECK(Text(refused->status).find("0000:03:00.0: in use by qemu (pid 4711)") == 0);
  CHECK(refused->devices[2].in_use_by == "qemu (pid 4711)");
  CHECK(node.Resets() == 0);
  CHECK(node.NothingArmed());
  CHECK(absl::IsFailedPrecondition(node.hardware.Reset()->status));  // it has ended
}

TEST_CASE("a GPU that a driver takes between arm and reset stops the change") {
  Node node(2);
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  node.machine.kernel.AddDriver("nvidia");
  node.machine.root.Link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/nvidia");
  CHECK(Text(node.hardware.Reset()->status).find("0000:01:00.0: held by driver nvidia") == 0);
  CHECK(node.Resets() == 0);
  CHECK(node.NothingArmed());
}

TEST_CASE("a user of a GPU that is in the mode already is no reason") {
  Node node(2);
  node.machine.Bring(0, Mode::kOn);
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  node.machine.HoldOpen(0, 2, "qemu");
  CHECK(node.hardware.Reset()->status.ok());
  CHECK(node.machine.Effective(1) == State::kOn);
}

TEST_CASE("a GPU is armed 32 times at once, then every three minutes") {
  Node node(2);
  const auto arm = [&] {
    const absl::Status status = node.hardware.Arm(Mode::kOn)->status;
    if (status.ok()) REQUIRE(node.hardware.Disarm()->status.ok());
    return status;
  };
  for (int i = 0; i < 32; ++i) REQUIRE(arm().ok());
  const absl::Status refused = arm();
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(Text(refused).find("0000:01:00.0: its mode has been changed too often; try again in 1") ==
        0);
  CHECK(node.NothingArmed());
  node.machine.clock.SleepFor(std::chrono::minutes(3));
  CHECK(arm().ok());
  CHECK_FALSE(arm().ok());
  node.machine.clock.SleepFor(std::chrono::hours(24));
  for (int i = 0; i < 32; ++i) REQUIRE(arm().ok());
  CHECK_FALSE(arm().ok());
}

TEST_CASE("what a status document claims makes no change safe") {
  fake::Machine machine(2);
  machine.root.File("/run/nvidia/gpuhost/cc-manager.json",
                    R"({"schema": 1, "generation": 1, "devices": [
                        {"bdf": "0000:01:00.0", "state": "on", "pending": "on"},
                        {"bdf": "0000:02:00.0", "state": "on", "pending": "on"}]})");
  machine.HoldOpen(1, 4711, "qemu");
  LocalHardware hardware(machine.host());
  CHECK(absl::IsFailedPrecondition(hardware.Arm(Mode::kOn)->status));
  CHECK(hardware.Query(Mode::kOn, false)->devices[0].state == State::kOff);
}

TEST_CASE("hardware that is dropped while armed is disarmed") {
  fake::Machine machine(2);
  { REQUIRE(LocalHardware(machine.host()).Arm(Mode::kOn)->status.ok()); }
  CHECK(machine.Pending(0) == State::kOff);
  CHECK(machine.Pending(1) == State::kOff);
}

TEST_CASE("all resets are under way at the same time") {
  Node node(8);
  REQUIRE(node.hardware.Arm(Mode::kOn)->status.ok());
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0;
  bool together = true;
  node.machine.kernel.OnWrite([&](const std::string& path) {
    if (!path.ends_with("/reset")) return;
    std::unique_lock lock(mutex);
    ++begun;
    changed.notify_all();
    // One after the other would leave each waiting for the next; the limit only ends a failing
    // test.
    together =
        changed.wait_for(lock, std::chrono::seconds(60), [&] { return begun == 8; }) && together;
  });
  CHECK(node.hardware.Reset()->status.ok());
  CHECK(together);
}

TEST_CASE(
    "before a change the firmware says whether its knobs may be set, and nothing is written") {
  Node node(2);
  node.machine.gpu(1).Set(Fault::kKnobLocked);
  CHECK(node.Query(Mode::kOn).admission.ok());
  const Survey asked = node.Query(Mode::kOn, true);
  CHECK(absl::IsFailedPrecondition(asked.admission));
  CHECK(Text(asked.admission).find("0000:02:00.0: ") == 0);
  CHECK_FALSE(asked.busy);
  CHECK(node.NothingArmed());
  CHECK(node.Query(Mode::kOff, true).settled);  // there is nothing to be set

  node.machine.HoldOpen(0, 7, "qemu");  // one that would be waited for is no reason to wait
  CHECK_FALSE(node.Query(Mode::kOn, true).busy);
}

TEST_CASE(
    "a silent firmware is left to the change that heals it, once, and refuses it afterwards") {
  Node node(2, GENERATE("h100-pcie", "b200"));
  node.machine.gpu(1).Set(Fault::kRpcSilent);
  const Survey same = node.Query(Mode::kOff, true);
  CHECK(same.settled);
  CHECK_FALSE(same.devices[1].pending.has_value());
  CHECK_FALSE(same.devices[1].error.empty());
  CHECK(node.Query(Mode::kOn, true).admission.ok());
  CHECK(node.Resets() == 0);  // to ask resets nothing

  CHECK_FALSE(node.hardware.Arm(Mode::kOn)->status.ok());
  CHECK(node.Resets() == 1);
  CHECK_FALSE(node.Query(Mode::kOn, true).admission.ok());
  node.machine.gpu(1).Set(Fault::kRpcSilent, false);
  CHECK(node.Query(Mode::kOn, true).admission.ok());
  CHECK(node.hardware.Arm(Mode::kOn)->status.ok());
}

TEST_CASE("a firmware that answers with an error refuses a change, and does not begin one") {
  Node node(2);
  node.machine.gpu(1).Set(Fault::kRpcError);
  CHECK_FALSE(node.Query(Mode::kOn, true).admission.ok());
  CHECK(node.Query(Mode::kOff, true).settled);
}

TEST_CASE("one whose firmware is silent is not disarmed by a reset, which would do the opposite") {
  Node node(2);
  node.machine.gpu(0).SetKnob(8, 1);
  node.machine.gpu(1).SetKnob(8, 1);
  node.machine.gpu(1).Set(Fault::kRpcSilent);
  CHECK(node.hardware.Disarm()->status.ok());
  CHECK(node.machine.Pending(0) == State::kOff);
  CHECK(node.Resets() == 0);
}

TEST_CASE("devices that somebody armed are disarmed in whatever mode they are, without a reset") {
  Node node(3);
  node.machine.Bring(1, Mode::kDevtools);
  node.machine.gpu(0).SetKnob(8, 1);
  node.machine.gpu(1).SetKnob(6, 0);
  node.machine.gpu(2).SetKnob(8, 1);
  node.machine.HoldOpen(2, 7, "qemu");
  const uint64_t resets = node.Resets();
  CHECK(node.hardware.Disarm()->status.ok());
  CHECK(node.machine.Pending(0) == State::kOff);
  CHECK(node.machine.Pending(1) == State::kDevtools);
  CHECK(node.machine.Pending(2) == State::kOn);  // its user's
  CHECK(node.Resets() == resets);
  CHECK(absl::IsFailedPrecondition(node.hardware.Disarm()->status));  // nothing is armed any more
}

TEST_CASE(
    "a GPU that has been in use since the start begins no change, and is not settled either") {
  Node node(2);
  for (size_t i = 0; i < 2; ++i) node.machine.Bring(i, Mode::kOn);
  node.machine.RunVirtualMachine(0, 7);
  const Survey same = node.Query(Mode::kOn, true);
  CHECK(same.settled);
  CHECK_FALSE(same.devices[0].settled);
  CHECK(same.devices[1].settled);
  CHECK_FALSE(node.Query(Mode::kOff).settled);
  CHECK(node.Query(Mode::kOff).busy);
}
