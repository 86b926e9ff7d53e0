// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/describe.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

TEST_CASE("a plan tells what will be done to each device, in words and for programs") {
  fake::Machine machine(3);
  machine.Bring(1, Mode::kOn);
  machine.HoldOpen(1, 12, "qemu");
  machine.RunVirtualMachine(2, 13);
  CHECK_FALSE(PlanChange(machine.host(), Mode::kOn, false).ok());
  for (size_t i = 0; i < 3; ++i) machine.gpu(i).ForbidBarWrites(true);

  const auto plan = PlanChange(machine.host(), Mode::kOn, true);
  REQUIRE(plan.ok());
  const std::string unreadable = Text((*plan)[2].state.status());
  CHECK(
      RenderText(*plan) ==
      "0000:01:00.0: knob-2=0 knob-4=0 knob-34=0 ppcie=0 bar0-decoupler=2 cc-mode=1 cc-devtools=0, "
      "then reset, expect on\n"
      "0000:02:00.0: nothing to do\n"
      "0000:03:00.0: mode unknown (" +
          unreadable + ")\n");
  const std::string json = RenderJson(*plan, Mode::kOn);
  CHECK(json.starts_with(R"({
  "schema": 1,
  "wanted": "on",
  "devices": [
    {
      "bdf": "0000:01:00.0",
      "mode": "off",
      "takes_part": true,
      "knobs": [
        {
          "knob": "knob-2",
          "value": 0
        },
)"));
  CHECK(json.find("\"error\": \"" + unreadable + '"') != std::string::npos);
  for (size_t i = 0; i < 3; ++i) CHECK(machine.gpu(i).counters().violations == 0);
}
