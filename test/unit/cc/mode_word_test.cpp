// SPDX-License-Identifier: Apache-2.0
//
// A mode register that answers something else than its content shows no mode.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/execute.h"
#include "libgpuhost/cc/observe.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;

namespace {

uint32_t ModeRegister(std::string_view board) { return vgpu::FindBoard(board)->mode; }

}  // namespace

// gpu-admin-tools v2025.10.20 stops at any of these; believed they would be ppcie, off, on, on and
// devtools.
TEST_CASE("faults and all ones in the mode register are no mode, for a look and for a change") {
  const std::string_view board = GENERATE("h100-pcie", "nvswitch", "b200", "rtx-pro-6000");
  const uint32_t value =
      GENERATE(0xbadf5620u, 0xbadf5040u, 0xbadf1001u, 0xbadf5621u, 0xbad00200u, 0xffffffffu);
  CAPTURE(board, value);
  fake::Machine machine(1, board);
  machine.gpu(0).SetRegister(ModeRegister(board), value);
  const cc::Observation seen = cc::Observe(machine.host(), machine.DeviceOf(0));
  CHECK(absl::IsDataLoss(seen.state.status()));
  CHECK(Text(seen.state.status()).find("mode register") == 0);
  for (const Mode mode : {Mode::kOff, Mode::kOn, Mode::kPpcie}) {
    CHECK(cc::TakesPart(seen, mode));
    CHECK_FALSE(cc::Admit(std::vector{seen}, mode, {.force = true}).ok());
    const cc::Outcome outcome = cc::ChangeMode(machine.host(), std::vector{seen}, mode, {});
    CHECK_FALSE(outcome.status.ok());
    CHECK_FALSE(outcome.devices[0].after.has_value());
  }
  CHECK(machine.gpu(0).counters().resets == 0);
}

TEST_CASE("a mode register that turns into a fault by the reset is no success") {
  fake::Machine machine(1, GENERATE("h100-pcie", "b200"));
  const auto seen = std::vector{cc::Observe(machine.host(), machine.DeviceOf(0))};
  REQUIRE(seen[0].state.ok());
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/reset")) machine.gpu(0).Set(vgpu::Fault::kModeFault);
  });
  const cc::Outcome outcome = cc::ChangeMode(machine.host(), seen, Mode::kOn, {});
  CHECK(Text(outcome.status).find("fault 0xbadf5620") != std::string::npos);
  CHECK_FALSE(outcome.devices[0].after.has_value());
}

TEST_CASE("multi-GPU modes of Hopper that this version does not know are no mode") {
  for (const uint32_t word : {0x40u, 0x41u, 0x60u, 0x63u, 0x1c0u}) {
    CAPTURE(word);
    CHECK(absl::IsDataLoss(cc::DecodeState(gpu::ModeWord::kHopper, word).status()));
    fake::Machine machine;
    machine.gpu(0).SetRegister(ModeRegister("h100-pcie"), word);
    const auto seen = cc::Observe(machine.host(), machine.DeviceOf(0));
    CHECK(Text(seen.state.status()).find("does not know; update gpuhost") != std::string::npos);
  }
}
