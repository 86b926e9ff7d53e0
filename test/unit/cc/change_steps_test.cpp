// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/change.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;
using vgpu::Fault;

namespace {

std::vector<cc::Observation> Observe(fake::Machine& machine) {
  std::vector<cc::Observation> seen;
  for (size_t i = 0; i < machine.size(); ++i) {
    seen.push_back(cc::Observe(machine.host(), machine.DeviceOf(i)));
  }
  return seen;
}

// A change that has been armed, with the observations that it was made of.
struct Armed {
  Armed(fake::Machine& machine, Mode mode)
      : seen(Observe(machine)), change(machine.host(), seen, mode) {
    REQUIRE(change.Open().ok());
    REQUIRE(change.Arm().ok());
  }
  std::vector<cc::Observation> seen;
  cc::Change change;
};

std::vector<uint16_t> Knobs(const vgpu::VirtualGpu& gpu) {
  std::vector<uint16_t> values;
  constexpr uint16_t kIds[] = {2, 4, 6, 8, 10, 34, 45};
  for (const uint16_t id : kIds) values.push_back(gpu.knob(id));
  return values;
}

}  // namespace

TEST_CASE("disarming brings back every knob, whatever the two modes") {
  for (const Mode from : {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie}) {
    for (const Mode to : {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie}) {
      CAPTURE(cc::ToString(from), cc::ToString(to));
      fake::Machine machine({"h100-sxm", "nvswitch"});
      for (size_t i = 0; i < 2; ++i) machine.Bring(i, from);
      const std::vector<uint16_t> before[] = {Knobs(machine.gpu(0)), Knobs(machine.gpu(1))};
      Armed armed(machine, to);
      CHECK(machine.Pending(0) == cc::StateOf(to));
      CHECK(armed.change.Disarm("told to").ok());
      for (size_t i = 0; i < 2; ++i) {
        CHECK(Knobs(machine.gpu(i)) == before[i]);
        CHECK(machine.gpu(i).counters().resets == 1);
      }
      const cc::Outcome outcome = armed.change.outcome();
      CHECK(absl::IsAborted(outcome.devices[0].status));
      CHECK(outcome.devices[0].after == cc::StateOf(from));
    }
  }
}

TEST_CASE("a change that is dropped after arming leaves nothing armed") {
  fake::Machine machine(3);
  { const Armed armed(machine, Mode::kOn); }
  for (size_t i = 0; i < machine.size(); ++i) {
    CHECK(machine.Pending(i) == State::kOff);
    CHECK(machine.gpu(i).counters().resets == 0);
  }
}

TEST_CASE("a device whose reset the kernel refuses is disarmed, the others are switched") {
  fake::Machine machine(3);
  Armed armed(machine, Mode::kOn);
  machine.kernel.FailWritesWhile(
      [](const std::string& path) { return path.find("0000:02:00.0/reset") != std::string::npos; });
  CHECK_FALSE(armed.change.ResetAndVerify().ok());
  CHECK(machine.Pending(1) == State::kOff);
  CHECK(machine.Effective(1) == State::kOff);
  CHECK(armed.change.outcome().devices[1].pending == State::kOff);
  for (const size_t i : {size_t{0}, size_t{2}}) CHECK(machine.Effective(i) == State::kOn);
}

TEST_CASE("a device that never takes the mode is disarmed") {
  const std::string_view board = GENERATE("h100-sxm", "b200");
  fake::Machine machine(2, board);
  Armed armed(machine, Mode::kOn);
  machine.gpu(0).Set(Fault::kResetNoLatch);
  CHECK(Text(armed.change.ResetAndVerify()).find("twice reset: is off after the reset") !=
        std::string::npos);
  CHECK(machine.Pending(0) == State::kOff);
  CHECK(machine.Effective(1) == State::kOn);
}

TEST_CASE("a device that can neither be armed again nor disarmed says so, the others go on") {
  fake::Machine machine(3);
  Armed armed(machine, Mode::kDevtools);
  machine.gpu(1).Set(Fault::kResetNoLatch);
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.find("0000:02:00.0/reset") == std::string::npos) return;
    machine.gpu(1).SetKnob(6, 0);  // somebody else's doing: it is armed for another mode
    machine.gpu(1).Set(Fault::kKnobLocked);
  });
  const std::string text = Text(armed.change.ResetAndVerify());
  CHECK(text.find("cannot be armed again") != std::string::npos);
  CHECK(text.find("it stays armed") != std::string::npos);
  CHECK(machine.gpu(1).counters().resets == 1);
  CHECK_FALSE(armed.change.outcome().devices[1].pending.has_value());
  for (const size_t i : {size_t{0}, size_t{2}}) {
    CHECK(armed.change.outcome().devices[i].status.ok());
    CHECK(machine.Effective(i) == State::kDevtools);
  }
}

TEST_CASE("a device that fails while the others are armed says when it stays armed itself") {
  fake::Machine machine(2);
  auto seen = Observe(machine);
  cc::Change change(machine.host(), seen, Mode::kOn);
  REQUIRE(change.Open().ok());
  machine.gpu(0).Set(Fault::kRpcSilent);
  CHECK(Text(change.Arm()).find("it stays armed") != std::string::npos);
  CHECK(machine.Pending(1) == State::kOff);
  CHECK(machine.gpu(1).counters().resets == 0);
}

TEST_CASE("a device that leaves the bus is not written any more, the others are switched") {
  fake::Machine machine(2);
  Armed armed(machine, Mode::kOn);
  uint64_t writes = 0;
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.find("0000:01:00.0/reset") == std::string::npos) return;
    writes = machine.gpu(0).counters().bar_writes;
    machine.gpu(0).Set(Fault::kDead);
    machine.root.Remove("/sys/bus/pci/devices/0000:01:00.0");
  });
  CHECK(Text(armed.change.ResetAndVerify()).find("0000:01:00.0: write '1' to") == 0);
  CHECK(machine.gpu(0).counters().bar_writes == writes);
  CHECK_FALSE(armed.change.outcome().devices[0].pending.has_value());
  CHECK(machine.Effective(1) == State::kOn);
}

TEST_CASE("what was armed before in the invalid state is not put back") {
  fake::Machine machine(1);
  machine.gpu(0).SetKnob(6, 1);
  Armed armed(machine, Mode::kOn);
  CHECK(Text(armed.change.Disarm("told to")).find("it stays armed") != std::string::npos);
  CHECK(machine.Pending(0) == State::kOn);
}

namespace {

constexpr uint16_t kGuardKnobs[] = {2, 4, 10, 34};

void WearDown(fake::Machine& machine, size_t index, uint16_t knob, uint16_t value) {
  machine.kernel.OnWrite([&machine, index, knob, value](const std::string& path) {
    const std::string reset = fake::Machine::BdfOf(index) + "/reset";
    if (path.ends_with(reset)) machine.gpu(index).SetKnob(knob, value);
  });
}

}  // namespace

TEST_CASE("the mode alone is not enough: after the reset every knob of the mode is compared") {
  const Mode mode = GENERATE(Mode::kOn, Mode::kPpcie, Mode::kDevtools);
  for (const uint16_t knob : kGuardKnobs) {
    CAPTURE(cc::ToString(mode), knob);
    fake::Machine machine(2, "h100-sxm");
    Armed armed(machine, mode);
    WearDown(machine, 0, knob, 1);
    const std::string text = Text(armed.change.ResetAndVerify());
    const auto name = gpu::KnobName(static_cast<gpu::Knob>(knob));
    const int wanted = knob == 10 && mode != Mode::kDevtools ? 2 : 0;
    CHECK(text.find(fmt::format("{} is 1 after the change instead of {}", name, wanted)) !=
          std::string::npos);
    CHECK(armed.change.outcome().devices[1].status.ok());
  }
}

TEST_CASE("a protected GPU with a wrong knob that its mode does not show is reset, once") {
  const Mode mode = GENERATE(Mode::kOn, Mode::kPpcie);
  for (const uint16_t knob : kGuardKnobs) {
    CAPTURE(cc::ToString(mode), knob);
    fake::Machine machine(1, "h100-sxm");
    machine.Bring(0, mode);
    const uint64_t resets = machine.gpu(0).counters().resets;
    machine.gpu(0).SetKnob(knob, 1);
    Armed armed(machine, mode);
    CHECK(armed.change.outcome().devices[0].reset);
    CHECK(armed.change.ResetAndVerify().ok());
    CHECK(machine.gpu(0).counters().resets == resets + 1);
    CHECK(machine.gpu(0).knob(knob) == (knob == 10 ? 2 : 0));
  }
}
