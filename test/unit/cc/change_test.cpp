// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/execute.h"
#include "libgpuhost/cc/knobs.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;
using vgpu::Fault;

namespace {

cc::Outcome Change(fake::Machine& machine, Mode mode, std::vector<std::string>* phases = nullptr) {
  std::vector<cc::Observation> seen;
  for (size_t i = 0; i < machine.size(); ++i) {
    seen.push_back(cc::Observe(machine.host(), machine.DeviceOf(i)));
  }
  return cc::ChangeMode(machine.host(), seen, mode, [&](std::string_view phase, const auto&) {
    if (phases != nullptr) phases->emplace_back(phase);
  });
}

// Nobody can talk to such firmware; one reset is tried against that.
bool IsDeadChannel(Fault fault) {
  return fault != Fault::kRpcError && fault != Fault::kKnobLocked && fault != Fault::kRecovery;
}

}  // namespace

// Every ordered pair of modes, on a node of these boards.
void WalkAllPairs(const std::vector<std::string_view>& boards, const std::vector<Mode>& modes) {
  for (const Mode from : modes) {
    for (const Mode to : modes) {
      CAPTURE(cc::ToString(from), cc::ToString(to));
      fake::Machine machine(boards);
      for (size_t i = 0; i < machine.size(); ++i) machine.Bring(i, from);
      const cc::Outcome outcome = Change(machine, to);
      REQUIRE(Text(outcome.status).empty());
      for (size_t i = 0; i < machine.size(); ++i) {
        CAPTURE(i);
        const auto architecture = gpu::FindChip(machine.DeviceOf(i))->architecture;
        const State before = cc::StateOf(from, architecture), after = cc::StateOf(to, architecture);
        CHECK(outcome.devices[i].before == before);
        CHECK(outcome.devices[i].after == after);
        CHECK(machine.Effective(i) == after);
        CHECK(machine.Pending(i) == after);
        CHECK(machine.gpu(i).counters().resets == (before == after ? 1u : 2u));
        CHECK(machine.gpu(i).counters().too_early == 0);
        CHECK(machine.gpu(i).sealed() == (after == State::kOn || after == State::kPpcie));
      }
    }
  }
}

TEST_CASE("any mode to any mode with one reset per device: Hopper with NVSwitches") {
  WalkAllPairs({"h100-sxm", "h100-sxm", "h200-sxm", "nvswitch", "nvswitch"},
               {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie});
}

TEST_CASE("any mode to any mode with one reset per device: Blackwell") {
  const std::string_view board = GENERATE("b200", "b300", "rtx-pro-6000", "gb300");
  CAPTURE(board);
  WalkAllPairs({board, board}, {Mode::kOff, Mode::kOn, Mode::kDevtools});
}

TEST_CASE("a node that is half in protected PCIe gets there, and out again") {
  fake::Machine machine({"h100-sxm", "h100-sxm", "nvswitch", "nvswitch"});
  machine.Bring(1, Mode::kPpcie);
  machine.Bring(2, Mode::kPpcie);
  const Mode to = GENERATE(Mode::kPpcie, Mode::kOff, Mode::kOn);
  REQUIRE(Change(machine, to).status.ok());
  for (size_t i = 0; i < 2; ++i) CHECK(machine.Effective(i) == cc::StateOf(to));
  for (size_t i = 2; i < 4; ++i) {
    CHECK(machine.Effective(i) == (to == Mode::kPpcie ? State::kPpcie : State::kOff));
  }
}

TEST_CASE("the invalid state is healed by any mode") {
  for (const Mode to : {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie}) {
    fake::Machine machine;
    machine.gpu(0).SetKnob(6, 1);
    REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
    CHECK(Change(machine, to).status.ok());
    CHECK(machine.Effective(0) == cc::StateOf(to));
  }
}

TEST_CASE("an armed device whose effective mode is right is disarmed without a reset") {
  fake::Machine machine;
  machine.gpu(0).SetKnob(8, 1);
  const cc::Outcome outcome = Change(machine, Mode::kOff);
  REQUIRE(outcome.status.ok());
  CHECK_FALSE(outcome.devices[0].reset);
  CHECK(machine.Pending(0) == State::kOff);
  CHECK(machine.gpu(0).counters().resets == 0);
}

TEST_CASE("what differs is written and nothing else") {
  fake::Machine machine;
  REQUIRE(Change(machine, Mode::kOn).status.ok());
  const auto before = machine.kernel.writes().size();
  REQUIRE(Change(machine, Mode::kOn).status.ok());
  CHECK(machine.kernel.writes().size() == before);  // no reset, no power change
}

TEST_CASE("phases are announced in order") {
  fake::Machine machine(2);
  std::vector<std::string> phases;
  REQUIRE(Change(machine, Mode::kOn, &phases).status.ok());
  CHECK(phases == std::vector<std::string>{"arming", "resetting"});
}

TEST_CASE("a device that cannot be armed stops the change before anything is reset") {
  const Fault fault =
      GENERATE(Fault::kRpcSilent, Fault::kRpcError, Fault::kRpcGarbage, Fault::kRpcWrongEcho,
               Fault::kRpcShort, Fault::kRpcOversize, Fault::kKnobLocked, Fault::kRecovery);
  fake::Machine machine(4);
  machine.gpu(2).Set(fault);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK_FALSE(outcome.status.ok());
  CHECK(Text(outcome.status).find("0000:03:00.0: ") == 0);
  for (size_t i = 0; i < machine.size(); ++i) {
    CAPTURE(i);
    CHECK(machine.Effective(i) == State::kOff);
    CHECK(machine.Pending(i) == State::kOff);
    CHECK(machine.gpu(i).counters().resets == (i == 2 && IsDeadChannel(fault) ? 1 : 0));
    CHECK(absl::IsAborted(outcome.devices[i].status) == (i != 2));
  }
}

TEST_CASE("after the first reset a bad device does not stop the others") {
  const Fault fault = GENERATE(Fault::kResetHangs, Fault::kResetNoLatch, Fault::kNeverBoots,
                               Fault::kDeadAfterReset, Fault::kSecurityFault);
  fake::Machine machine(4);
  machine.gpu(1).Set(fault);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK_FALSE(outcome.status.ok());
  for (size_t i = 0; i < machine.size(); ++i) {
    CAPTURE(i);
    CHECK(outcome.devices[i].status.ok() == (i != 1));
    if (i != 1) CHECK(machine.Effective(i) == State::kOn);
  }
  // One more try, and no second one; none where the kernel has not come back.
  CHECK(machine.gpu(1).counters().resets == (fault == Fault::kResetHangs ? 1u : 2u));
}

TEST_CASE("a device that comes back dead once gets another reset") {
  const std::string_view board = GENERATE("h100-pcie", "b200");
  fake::Machine machine(3, board);
  machine.gpu(1).Set(Fault::kDeadOnce);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK(Text(outcome.status).empty());
  CHECK(machine.Effective(1) == State::kOn);
  CHECK(machine.gpu(1).counters().resets == 2);
  CHECK(machine.gpu(0).counters().resets == 1);
}

TEST_CASE("the report names the cause") {
  struct Case {
    std::string_view board;
    Fault fault;
    std::string text;
  };
  const Case c = GENERATE(
      Case{"h100-pcie", Fault::kSecurityFault,
           "security fault 0xbadf0200 (0x00000810, FSP DCLS, IFF ECC)"},
      Case{"b200", Fault::kSecurityFault, "(0x00000810, IFF CRC after, FSP DCLS)"},
      Case{"rtx-pro-6000", Fault::kSecurityFault, "(0x00000810, IFF CRC after, FSP DCLS)"},
      Case{"b200", Fault::kFirewallStuck, "firmware keeps BAR0 closed after 15 s"},
      Case{"h100-pcie", Fault::kNeverBoots, "(boot status 0x00000000, FSP status 0x00000000"},
      Case{"gb300", Fault::kLinkDown, "NVLink-C2C status 0x00000000"},
      Case{"b300", Fault::kRecovery, "recovery mode"},
      Case{"h100-pcie", Fault::kDeadAfterReset, "twice reset: does not answer"});
  CAPTURE(c.board, c.text);
  fake::Machine machine(1, c.board);
  machine.gpu(0).Set(c.fault);
  CHECK(Text(Change(machine, Mode::kOn).status).find(c.text) != std::string::npos);
  CHECK(machine.gpu(0).counters().too_early == 0);
}

TEST_CASE("firmware of Blackwell that misbehaves stops the change too") {
  const Fault fault =
      GENERATE(Fault::kRpcSilent, Fault::kRpcError, Fault::kRpcGarbage, Fault::kRpcWrongEcho,
               Fault::kRpcShort, Fault::kRpcOversize, Fault::kKnobLocked);
  fake::Machine machine(2, "b200");
  machine.gpu(1).Set(fault);
  CHECK_FALSE(Change(machine, Mode::kOn).status.ok());
  for (size_t i = 0; i < 2; ++i) {
    CHECK(machine.Pending(i) == State::kOff);
    CHECK(machine.gpu(i).counters().resets == (i == 1 && IsDeadChannel(fault) ? 1 : 0));
  }
}

TEST_CASE("slow boot, stale queues and old firmware are no obstacles") {
  fake::Machine machine({"h100-pcie", "h100-pcie", "h100-pcie", "b200", "rtx-pro-6000"});
  machine.gpu(3).Set(Fault::kStaleQueue);
  machine.gpu(4).Set(Fault::kSlowBoot);
  machine.gpu(0).Set(Fault::kSlowBoot);
  machine.gpu(1).Set(Fault::kStaleQueue);
  machine.gpu(2).Set(Fault::kPpcieUnknown);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK(Text(outcome.status).empty());
  for (size_t i = 0; i < machine.size(); ++i) CHECK(machine.Effective(i) == State::kOn);
}
