// SPDX-License-Identifier: Apache-2.0
//
// What is armed against the wish is found and disarmed, whenever and by whomever it was armed.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using cc::State;

TEST_CASE("a GPU that another tool arms is disarmed within some passes") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.gpu(0).SetKnob(8, 1);
  const TimePoint start = world.machine.clock.Now();
  CHECK(world.RunFor(std::chrono::hours(2)) == 0);
  CHECK(world.machine.clock.Now() - start >= std::chrono::hours(2));
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
}

TEST_CASE("the firmware of idle GPUs is not asked at each look") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  const auto writes = world.machine.gpu(0).counters().bar_writes;
  for (int i = 0; i < 5; ++i) CHECK(world.Settle().status.ok());
  CHECK(world.machine.gpu(0).counters().bar_writes == writes);
}

TEST_CASE("a GPU that its user leaves armed is disarmed at the next look") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.RunVirtualMachine(1, 7);
  REQUIRE(world.Settle().status.ok());
  world.machine.gpu(1).SetKnob(8, 1);
  REQUIRE(world.Settle().status.ok());
  CHECK(world.machine.Pending(1) == State::kOn);  // its firmware is its user's
  world.machine.EndVirtualMachine(1, 7);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
}

TEST_CASE("what is armed is disarmed also while nobody can say what is wanted") {
  const std::string label = GENERATE("always", "on");
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, label}});
  const bool invalid = label == "always";
  world.machine.gpu(1).SetKnob(8, 1);
  REQUIRE(service::Publish(
              world.machine.kernel,
              {.daemon = "cc-manager", .devices = {{.bdf = "0000:02:00.0", .unusable = "armed"}}})
              .ok());
  world.Restart();
  if (!invalid) world.server->Refuse(100, 503);
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  for (const auto& device : world.Document().devices) CHECK(device.unusable.empty());
  world.server->ClearFaults();
  if (invalid) CHECK(world.ModeState() == "failed");
  if (invalid) world.SetMode("on");
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("the firmware is asked again for what is armed where it did not answer without a wish") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "always"}});
  world.machine.gpu(0).SetKnob(8, 1);
  world.machine.gpu(0).Set(vgpu::Fault::kRpcSilent);
  CHECK_FALSE(world.Settle().status.ok());
  world.machine.gpu(0).Set(vgpu::Fault::kRpcSilent, false);
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(world.machine.Pending(0) == State::kOff);
}
