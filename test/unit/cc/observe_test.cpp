// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/observe.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using vgpu::Fault;

namespace {

absl::StatusOr<cc::State> StateOf(fake::Machine& machine) {
  return cc::Observe(machine.host(), machine.DeviceOf(0)).state;
}

}  // namespace

TEST_CASE("an observation writes nothing to the device") {
  fake::Machine machine(1);
  vgpu::VirtualGpu& gpu = machine.gpu(0);
  gpu.SetKnob(8, 1);
  REQUIRE(gpu.FunctionLevelReset().ok());
  machine.clock.SleepFor(std::chrono::seconds(5));
  gpu.ForbidBarWrites(true);
  const auto before = gpu.counters();
  CHECK(StateOf(machine).value() == cc::State::kOn);
  for (const Fault fault : {Fault::kRecovery, Fault::kDead}) {
    gpu.Set(fault);
    CHECK_FALSE(StateOf(machine).ok());
    gpu.Set(fault, false);
  }
  CHECK(gpu.counters().violations == 0);
  CHECK(gpu.counters().bar_writes == before.bar_writes);
  CHECK(gpu.counters().config_writes == before.config_writes);
  CHECK(gpu.counters().bar_reads > before.bar_reads);
  CHECK(machine.kernel.writes().empty());
}

TEST_CASE("asleep and booting pass, dead does not") {
  fake::Machine machine;
  vgpu::VirtualGpu& gpu = machine.gpu(0);
  const auto transient = [&] { return cc::IsTransient(StateOf(machine).status()); };

  REQUIRE(gpu.FunctionLevelReset().ok());
  CHECK(transient());
  CHECK(Text(StateOf(machine).status()) == "firmware is booting");
  machine.clock.SleepFor(std::chrono::seconds(5));
  CHECK(StateOf(machine).value() == cc::State::kOff);

  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/power_state", "D3hot\n");
  CHECK(transient());
  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/power_state", "D0\n");
  gpu.WriteConfig(0x04, 2, 0);
  CHECK(transient());
  gpu.WriteConfig(0x04, 2, 2);

  gpu.Set(Fault::kDead);
  CHECK_FALSE(transient());
  CHECK(Text(StateOf(machine).status()).find("does not answer") == 0);
}

TEST_CASE("the registers of a chip that this version does not operate are not touched") {
  fake::Machine machine(1, "a100");
  CHECK(absl::IsUnimplemented(StateOf(machine).status()));
  machine.root.File("/sys/bus/pci/devices/0000:01:00.0/device", "0xfffe\n");
  CHECK(Text(StateOf(machine).status()).find("fffe is unknown") != std::string::npos);
  CHECK(machine.gpu(0).counters().bar_reads == 0);
}
