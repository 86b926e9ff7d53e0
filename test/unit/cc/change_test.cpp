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

State Effective(fake::Machine& machine, size_t index) {
  return cc::DecodeState(gpu::ModeWord::kGpuScratch, machine.gpu(index).mode_word());
}

State Pending(fake::Machine& machine, size_t index) {
  vgpu::VirtualGpu& gpu = machine.gpu(index);
  return cc::PendingState({{gpu::Knob::kCcMode, gpu.knob(8)},
                           {gpu::Knob::kCcDevtools, gpu.knob(6)},
                           {gpu::Knob::kPpcie, gpu.knob(45)}});
}

}  // namespace

TEST_CASE("any mode to any mode with one reset per device") {
  constexpr Mode kFrom[] = {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie};
  constexpr Mode kTo[] = {Mode::kOff, Mode::kOn, Mode::kDevtools};
  for (const Mode from : kFrom) {
    for (const Mode to : kTo) {
      CAPTURE(cc::ToString(from), cc::ToString(to));
      fake::Machine machine(3);
      for (size_t i = 0; i < machine.size(); ++i) {
        for (const cc::KnobStep& step : cc::KnobsOf(from)) {
          machine.gpu(i).SetKnob(static_cast<uint16_t>(step.knob), step.value);
        }
        REQUIRE(machine.gpu(i).FunctionLevelReset().ok());
      }
      const cc::Outcome outcome = Change(machine, to);
      REQUIRE(outcome.status.ok());
      for (size_t i = 0; i < machine.size(); ++i) {
        CHECK(outcome.devices[i].before == cc::StateOf(from));
        CHECK(outcome.devices[i].after == cc::StateOf(to));
        CHECK(Effective(machine, i) == cc::StateOf(to));
        CHECK(Pending(machine, i) == cc::StateOf(to));
        CHECK(machine.gpu(i).counters().resets == (from == to ? 1u : 2u));
      }
    }
  }
}

TEST_CASE("the invalid state is healed by any mode") {
  for (const Mode to : {Mode::kOff, Mode::kOn, Mode::kDevtools}) {
    fake::Machine machine;
    machine.gpu(0).SetKnob(6, 1);
    REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
    CHECK(Change(machine, to).status.ok());
    CHECK(Effective(machine, 0) == cc::StateOf(to));
  }
}

TEST_CASE("an armed device whose effective mode is right is disarmed without a reset") {
  fake::Machine machine;
  machine.gpu(0).SetKnob(8, 1);
  const cc::Outcome outcome = Change(machine, Mode::kOff);
  REQUIRE(outcome.status.ok());
  CHECK_FALSE(outcome.devices[0].reset);
  CHECK(Pending(machine, 0) == State::kOff);
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
    CHECK(Effective(machine, i) == State::kOff);
    CHECK(Pending(machine, i) == State::kOff);
    CHECK(machine.gpu(i).counters().resets == 0);
    CHECK(absl::IsAborted(outcome.devices[i].status) == (i != 2));
  }
}

TEST_CASE("after the first reset a bad device does not stop the others") {
  const Fault fault = GENERATE(Fault::kResetHangs, Fault::kResetNoLatch, Fault::kNeverBoots,
                               Fault::kDeadAfterReset);
  fake::Machine machine(4);
  machine.gpu(1).Set(fault);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK_FALSE(outcome.status.ok());
  for (size_t i = 0; i < machine.size(); ++i) {
    CAPTURE(i);
    CHECK(outcome.devices[i].status.ok() == (i != 1));
    if (i != 1) CHECK(Effective(machine, i) == State::kOn);
  }
}

TEST_CASE("slow boot, stale queues and old firmware are no obstacles") {
  fake::Machine machine(3);
  machine.gpu(0).Set(Fault::kSlowBoot);
  machine.gpu(1).Set(Fault::kStaleQueue);
  machine.gpu(2).Set(Fault::kPpcieUnknown);
  const cc::Outcome outcome = Change(machine, Mode::kOn);
  CHECK(Text(outcome.status).empty());
  for (size_t i = 0; i < machine.size(); ++i) CHECK(Effective(machine, i) == State::kOn);
}
