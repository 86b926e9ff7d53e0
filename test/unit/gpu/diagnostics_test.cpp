// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/gpu/diagnostics.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "test/fake/machine.h"

using namespace gpuhost;
using vgpu::Fault;

namespace {

std::optional<uint32_t> ValueOf(const gpu::Diagnostics& found, std::string_view name) {
  const auto one = std::ranges::find(found.registers, name, &gpu::Diagnostics::Value::name);
  return one == found.registers.end() ? std::nullopt : std::optional(one->value);
}

}  // namespace

TEST_CASE("every family shows its own registers, by reading alone") {
  const std::string_view board = GENERATE("h100-sxm", "nvswitch", "b200", "rtx-pro-6000", "gb300");
  CAPTURE(board);
  fake::Machine machine(1, board);
  const auto before = machine.gpu(0).counters();
  machine.gpu(0).ForbidBarWrites(true);
  const gpu::Diagnostics found = gpu::ReadDiagnostics(machine.host(), machine.DeviceOf(0));
  CHECK(found.registers_left_out.empty());
  CHECK(ValueOf(found, "boot_identity") == machine.gpu(0).board().boot_identity);
  CHECK(ValueOf(found, "boot_status") == 0xffu);
  const bool mailbox = machine.gpu(0).board().fsp == vgpu::FspPort::kMnoc;
  CHECK(ValueOf(found, "fsp_answer_info").has_value() == mailbox);
  CHECK(ValueOf(found, "fsp_queue_head_2").has_value() == !mailbox);
  CHECK(ValueOf(found, "c2c_status").has_value() == machine.gpu(0).board().coupled);
  REQUIRE(found.config.size() == 64);
  CHECK(found.config.substr(0, 2) == "\xde\x10");
  CHECK(machine.gpu(0).counters().violations == 0);
  CHECK(machine.gpu(0).counters().config_writes == before.config_writes);
}

TEST_CASE("a GPU that answers nothing shows all ones, one that is off the bus is not mapped") {
  fake::Machine machine(2);
  machine.gpu(0).Set(Fault::kDeadAfterReset);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  const auto silent = gpu::ReadDiagnostics(machine.host(), machine.DeviceOf(0));
  CHECK(ValueOf(silent, "boot_identity") == 0xffffffffu);
  machine.gpu(1).Set(Fault::kDead);
  const auto dead = gpu::ReadDiagnostics(machine.host(), machine.DeviceOf(1));
  CHECK(dead.registers.empty());
  CHECK(dead.registers_left_out.find("fell off the bus") != std::string::npos);
  CHECK(machine.gpu(1).counters().bar_reads == 0);
}

TEST_CASE("BAR0 is left alone while its firewall is closed, and where the chip is not known") {
  fake::Machine machine({"b200", "a100"});
  machine.gpu(0).Set(Fault::kFirewallStuck);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  for (size_t i = 0; i < 2; ++i) {
    const auto found = gpu::ReadDiagnostics(machine.host(), machine.DeviceOf(i));
    CHECK(found.registers.empty());
    CHECK_FALSE(found.registers_left_out.empty());
    CHECK(found.config.size() == 64);
    CHECK(machine.gpu(i).counters().bar_reads == 0);
    CHECK(machine.gpu(i).counters().too_early == 0);
  }
}

TEST_CASE("security faults are decoded") {
  fake::Machine machine(1);
  machine.gpu(0).Set(Fault::kSecurityFault);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  machine.clock.SleepFor(std::chrono::seconds(5));
  const auto found = gpu::ReadDiagnostics(machine.host(), machine.DeviceOf(0));
  CHECK(found.faults.find("FSP DCLS") != std::string::npos);
  CHECK(ValueOf(found, "boot_identity") == 0xbadf0200u);
}
