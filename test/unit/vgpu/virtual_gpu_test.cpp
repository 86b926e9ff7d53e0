// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/virtual_gpu.h"

#include <catch2/catch.hpp>

#include "test/fake/fake_clock.h"

using namespace gpuhost;
using vgpu::Fault;

namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint32_t kBootStatus = 0x200bc, kRecovery = 0x20120, kMode = 0x1182cc;
constexpr uint32_t kPort = 0x8f2ad0, kData = 0x8f2ad4;  // channel 2
constexpr uint32_t kRequestHead = 0x8f2c10, kRequestTail = 0x8f2c14;
constexpr uint32_t kAnswerHead = 0x8f2c90, kAnswerTail = 0x8f2c94;
constexpr uint32_t kBase = 2048;
constexpr uint16_t kCcMode = 8, kCcModeLock = 7, kPpcie = 45;

struct Bench {
  Bench() { gpu.WriteConfig(0x04, 2, 0x0006); }  // decodes memory, masters the bus

  uint32_t Read(uint32_t offset) { return gpu.ReadBar0(offset); }
  void Reset(Duration wait = std::chrono::seconds(3)) {
    CHECK(gpu.FunctionLevelReset().ok());
    clock.SleepFor(wait);
  }

  // Words of a request as software writes them; the answer's words, none when there is none.
  std::vector<uint32_t> Ask(const std::vector<uint32_t>& request) {
    gpu.WriteBar0(kPort, kBase | 1u << 24 | 1u << 25);
    for (const uint32_t word : request) gpu.WriteBar0(kData, word);
    gpu.WriteBar0(kRequestTail, kBase + 4 * (static_cast<uint32_t>(request.size()) - 1));
    gpu.WriteBar0(kRequestHead, kBase);
    for (int i = 0; i < 100 && Read(kAnswerHead) == Read(kAnswerTail); ++i) {
      clock.SleepFor(std::chrono::milliseconds(1));
    }
    const uint32_t head = Read(kAnswerHead), tail = Read(kAnswerTail);
    std::vector<uint32_t> answer;
    if (head == tail) return answer;
    gpu.WriteBar0(kPort, head | 1u << 25);
    for (uint32_t at = head; at <= tail && answer.size() < 64; at += 4)
      answer.push_back(Read(kData));
    gpu.WriteBar0(kAnswerTail, head);
    return answer;
  }
  std::vector<uint32_t> ReadKnob(uint32_t id) {
    return Ask({0xc0000000, 0x1310de7e, id << 16 | 0x20c});
  }
  std::vector<uint32_t> WriteKnob(uint32_t id, uint32_t value) {
    return Ask({0xc0000000, 0x1310de7e, id << 16 | 0x20d, value});
  }

  fake::FakeClock clock;
  vgpu::VirtualGpu gpu{*vgpu::FindBoard("h100-pcie"), clock, std::chrono::seconds(2)};
};

}  // namespace

TEST_CASE("a virtual GPU answers a knob request and takes the knob over with the next reset") {
  Bench bench;
  const auto before = bench.ReadKnob(kCcMode);
  REQUIRE(before.size() == 6);
  CHECK(before[1] == 0x1510de7e);
  CHECK(before[3] == 0x13);
  CHECK(before[4] == 0);
  CHECK((before[5] & 0xffff) == 0);

  REQUIRE(bench.WriteKnob(kCcMode, 1).size() == 5);
  CHECK((bench.ReadKnob(kCcMode)[5] & 0xffff) == 1);
  CHECK(bench.Read(kMode) == 0);
  bench.Reset();
  CHECK(bench.Read(kMode) == 1);
}

TEST_CASE("after a reset it is silent, then boots, then has booted") {
  Bench bench;
  bench.Reset(Duration::zero());
  CHECK(bench.Read(0) == kAllOnes);
  bench.clock.SleepFor(std::chrono::milliseconds(150));
  CHECK(bench.Read(0) == 0x180000a1);
  CHECK(bench.Read(kBootStatus) == 0);
  bench.clock.SleepFor(std::chrono::milliseconds(1850));
  CHECK(bench.Read(kBootStatus) == 0xff);
}

TEST_CASE("it answers only where it decodes memory and is awake") {
  Bench bench;
  bench.gpu.WriteConfig(0x04, 2, 0);
  CHECK(bench.Read(0) == kAllOnes);
  bench.gpu.WriteConfig(0x04, 2, 2);
  bench.gpu.Set(Fault::kAsleepD3hot);
  CHECK(bench.Read(0) == kAllOnes);
  bench.gpu.WriteConfig(0x44, 2, 0);
  CHECK(bench.Read(0) == 0x180000a1);
}

TEST_CASE("the FLR bit in configuration space resets it as the kernel's reset does") {
  Bench bench;
  bench.gpu.SetKnob(kCcMode, 1);
  bench.gpu.WriteConfig(0x68, 2, 0x8000);
  bench.clock.SleepFor(std::chrono::seconds(3));
  CHECK(bench.Read(kMode) == 1);
  CHECK(bench.gpu.counters().resets == 1);
}

TEST_CASE("a bus reset before anybody configured it changes nothing") {
  Bench bench;
  bench.gpu.BusReset();
  CHECK(bench.gpu.counters().resets == 0);
  bench.gpu.WriteConfig(0x10, 4, 0xfd000000);
  bench.gpu.BusReset();
  CHECK(bench.gpu.counters().resets == 1);
  CHECK(bench.gpu.bar0() == 0);
}

TEST_CASE("its counters tell reads from writes, and forbidden writes do nothing") {
  Bench bench;
  const auto before = bench.gpu.counters();
  bench.gpu.ForbidBarWrites(true);
  bench.gpu.WriteBar0(kRequestTail, 0x123);
  bench.Read(0);
  const auto after = bench.gpu.counters();
  CHECK(after.bar_reads == before.bar_reads + 1);
  CHECK(after.bar_writes == before.bar_writes + 1);
  CHECK(after.violations == 1);
  CHECK(bench.Read(kRequestTail) == kBase);
}

TEST_CASE("permissions can't be written, and guard their knob") {
  Bench bench;
  CHECK(bench.WriteKnob(kCcModeLock, 0).at(4) == 0x9e);
  bench.gpu.SetKnob(kCcModeLock, 0);
  CHECK(bench.WriteKnob(kCcMode, 1).at(4) == 0x9e);
  CHECK(bench.gpu.knob(kCcMode) == 0);
  CHECK(bench.ReadKnob(99).at(4) == 0x1e3);
  CHECK(bench.Ask({0xc0000000, 0x1410de7e, 0x20c}).at(4) == 0xa0);
}

TEST_CASE("every fault of the firmware shows in the answer") {
  Bench bench;
  const auto with = [&](Fault fault, uint32_t knob = kCcMode) {
    bench.gpu.Set(fault);
    const auto answer = bench.ReadKnob(knob);
    bench.gpu.Set(fault, false);
    return answer;
  };
  CHECK(with(Fault::kRpcError).at(4) == 0x9e);
  CHECK(with(Fault::kRpcGarbage).at(1) == 0xdeadbeef);
  CHECK(with(Fault::kRpcWrongEcho).at(3) == 0x14);
  CHECK(with(Fault::kRpcShort).size() == 3);
  CHECK(with(Fault::kPpcieUnknown, kPpcie).at(4) == 0x1e3);
  CHECK((with(Fault::kKnobLocked, kCcModeLock).at(5) & 0xffff) == 0);
  CHECK(with(Fault::kRpcOversize).size() == 64);  // as many as the bench reads
  bench.gpu.Set(Fault::kRpcSilent);
  CHECK(bench.ReadKnob(kCcMode).empty());
  CHECK(bench.Read(kRequestHead) != bench.Read(kRequestTail));
}

TEST_CASE("a dead user's queues look used until they are set up again") {
  Bench bench;
  bench.gpu.Set(Fault::kStaleQueue);
  CHECK(bench.Read(kRequestHead) != bench.Read(kRequestTail));
  CHECK(bench.Read(kAnswerHead) != bench.Read(kAnswerTail));
  bench.Reset();
  CHECK(bench.Read(kRequestHead) == bench.Read(kRequestTail));
}

TEST_CASE("faults of resets and boots") {
  Bench bench;
  bench.gpu.SetKnob(kCcMode, 1);
  SECTION("no latch") {
    bench.gpu.Set(Fault::kResetNoLatch);
    bench.Reset();
    CHECK(bench.Read(kMode) == 0);
  }
  SECTION("never boots") {
    bench.gpu.Set(Fault::kNeverBoots);
    CHECK(bench.Read(kBootStatus) == 0xff);  // it had before
    bench.Reset(std::chrono::hours(1));
    CHECK(bench.Read(kBootStatus) == 0);
  }
  SECTION("slow boot") {
    bench.gpu.Set(Fault::kSlowBoot);
    bench.Reset();
    CHECK(bench.Read(kBootStatus) == 0);
    bench.clock.SleepFor(std::chrono::seconds(5));
    CHECK(bench.Read(kBootStatus) == 0xff);
  }
  SECTION("reset hangs") {
    bench.gpu.Set(Fault::kResetHangs);
    CHECK(absl::IsDeadlineExceeded(bench.gpu.FunctionLevelReset()));
    bench.clock.SleepFor(std::chrono::hours(1));
    CHECK(bench.Read(0) == kAllOnes);
    CHECK(bench.gpu.ReadConfig(0, 4) == kAllOnes);
  }
  SECTION("dead after a reset") {
    bench.gpu.Set(Fault::kDeadAfterReset);
    bench.Reset();
    CHECK(bench.Read(0) == kAllOnes);
    CHECK(bench.gpu.ReadConfig(0, 2) == 0x10de);
  }
  SECTION("recovery") {
    bench.gpu.Set(Fault::kRecovery);
    CHECK(bench.Read(0) == 0);
    CHECK(bench.Read(kRecovery) == 1u << 30);
  }
  SECTION("no FLR") {
    bench.gpu.Set(Fault::kNoFlr);
    bench.gpu.WriteConfig(0x68, 2, 0x8000);
    CHECK(bench.gpu.counters().resets == 0);
  }
}

TEST_CASE("a dead device is all ones wherever one looks, and takes no writes") {
  Bench bench;
  bench.gpu.Set(Fault::kDead);
  CHECK(bench.Read(0) == kAllOnes);
  CHECK(bench.gpu.ReadConfig(0, 4) == kAllOnes);
  CHECK(bench.gpu.ReadConfig(0, 2) == 0xffff);
  bench.gpu.WriteConfig(0x68, 2, 0x8000);
  bench.WriteKnob(kCcMode, 1);
  bench.gpu.Set(Fault::kDead, false);
  CHECK(bench.gpu.knob(kCcMode) == 0);
  CHECK(bench.gpu.counters().resets == 0);
}

TEST_CASE("an NVSwitch has protected PCIe in its own word, an A100 has no registers") {
  fake::FakeClock clock;
  vgpu::VirtualGpu nvswitch(*vgpu::FindBoard("nvswitch"), clock, Duration::zero());
  nvswitch.WriteConfig(0x04, 2, 2);
  nvswitch.SetKnob(kPpcie, 1);
  REQUIRE(nvswitch.FunctionLevelReset().ok());
  clock.SleepFor(std::chrono::seconds(1));
  CHECK(nvswitch.ReadBar0(0x28c50) == 1);

  vgpu::VirtualGpu old(*vgpu::FindBoard("a100"), clock, Duration::zero());
  old.WriteConfig(0x04, 2, 2);
  CHECK(old.ReadBar0(0) == 0x170000a1);
  CHECK(old.ReadBar0(kMode) == 0);
}

TEST_CASE("faults have names, and a wrong one is answered with all of them") {
  for (const auto name : vgpu::FaultNames()) CHECK(vgpu::ParseFault(name).ok());
  const auto wrong = vgpu::ParseFault("rpc");
  CHECK(absl::IsInvalidArgument(wrong.status()));
  CHECK(wrong.status().message().find("rpc-silent") != std::string::npos);
}
