// SPDX-License-Identifier: Apache-2.0
//
// What the virtual GPU refuses, and which rules it watches.
#include <catch2/catch.hpp>

#include "test/fake/fake_clock.h"
#include "test/vgpu/virtual_gpu.h"

using namespace gpuhost;
using std::chrono::milliseconds;
using vgpu::Fault;
using Words = std::vector<uint32_t>;

namespace {

constexpr uint32_t kPort = 0x8f2ad0, kData = 0x8f2ad4;  // channel 2
constexpr uint32_t kRequestHead = 0x8f2c10, kRequestTail = 0x8f2c14;
constexpr uint32_t kAnswerHead = 0x8f2c90, kAnswerTail = 0x8f2c94;
constexpr uint32_t kBase = 2048, kIncrement = 3u << 24;
constexpr uint32_t kAnswerInfo = 0x8f1f04, kAnswerData = 0x8f1f08;
constexpr uint32_t kRequestInfo = 0x8f1f84, kRequestData = 0x8f1f88;
constexpr uint32_t kTrigger = 1u << 20, kReady = 1u << 24, kCredit = 1u << 26;
const Words kReadCcMode{0xc0000000, 0x1310de7e, 0x0008020c};

struct Bench {
  explicit Bench(std::string_view board, uint64_t seed = 1)
      : gpu(*vgpu::FindBoard(board), clock, std::chrono::seconds(1), seed) {
    gpu.WriteConfig(0x04, 2, 0x0006);
  }
  uint32_t Read(uint32_t offset) { return gpu.ReadBar0(offset); }
  void Write(uint32_t offset, uint32_t value) { gpu.WriteBar0(offset, value); }

  void Send(const Words& request) {
    Write(kPort, kBase | kIncrement);
    for (const uint32_t word : request) Write(kData, word);
    Write(kRequestTail, kBase + 4 * (static_cast<uint32_t>(request.size()) - 1));
    Write(kRequestHead, kBase);
  }
  Words Receive() {
    clock.SleepFor(milliseconds(10));
    Words answer;
    const uint32_t head = Read(kAnswerHead), tail = Read(kAnswerTail);
    if (head == tail) return answer;
    Write(kPort, head | kIncrement);
    for (uint32_t at = head; at <= tail; at += 4) answer.push_back(Read(kData));
    Write(kAnswerTail, head);
    return answer;
  }
  Words Ask(const Words& request) {
    Send(request);
    return Receive();
  }
  // The rule that was broken last.
  std::string Broken() const {
    const auto all = gpu.Breaches();
    return all.empty() ? "" : all.back();
  }

  fake::FakeClock clock;
  vgpu::VirtualGpu gpu;
};

}  // namespace

TEST_CASE("it takes a request after a while and answers after another one") {
  Bench bench("h100-pcie");
  bench.Send(kReadCcMode);
  CHECK(bench.Read(kRequestHead) != bench.Read(kRequestTail));
  CHECK(bench.Read(kAnswerHead) == bench.Read(kAnswerTail));
  bench.clock.SleepFor(std::chrono::microseconds(200));
  CHECK(bench.Read(kRequestHead) == bench.Read(kRequestTail));
  bench.clock.SleepFor(milliseconds(2));
  CHECK(bench.Receive().size() == 6);
  CHECK(bench.gpu.Breaches().empty());
}

TEST_CASE("its delays differ by seed, and are the same for the same seed") {
  const auto delay = [](uint64_t seed) {
    Bench bench("h100-pcie", seed);
    bench.Send(kReadCcMode);
    const TimePoint start = bench.clock.Now();
    while (bench.Read(kAnswerHead) == bench.Read(kAnswerTail)) {
      bench.clock.SleepFor(std::chrono::microseconds(1));
    }
    return bench.clock.Now() - start;
  };
  CHECK(delay(1) == delay(1));
  CHECK((delay(1) != delay(2) || delay(2) != delay(3)));
}

TEST_CASE("an answer waits for the one before to be fetched") {
  Bench bench("h100-pcie");
  bench.Send(kReadCcMode);
  bench.clock.SleepFor(milliseconds(10));
  const uint32_t tail = bench.Read(kAnswerTail);
  bench.gpu.SetKnob(8, 1);
  bench.Write(kRequestTail, kBase + 8);
  bench.Write(kRequestHead, kBase);  // the same words, which the answer has overwritten
  bench.clock.SleepFor(milliseconds(10));
  CHECK(bench.Read(kAnswerTail) == tail);
  CHECK(bench.Receive().size() == 6);
}

TEST_CASE("it ignores what is no request to it") {
  Bench bench("h100-pcie");
  CHECK(bench.Ask({0x80000000, 0x1310de7e, 0x0008020c}).empty());  // the first part of several
  CHECK(bench.Ask({0xc0000100, 0x1310de7e, 0x0008020c}).empty());  // to another endpoint
  CHECK(bench.Ask({0xc0000000, 0x13111111, 0x0008020c}).empty());  // of another vendor
  CHECK(bench.Ask(kReadCcMode).size() == 6);
}

TEST_CASE("it refuses what a request does not look like") {
  Bench bench("h100-pcie");
  const auto error = [&](const Words& request) { return bench.Ask(request).at(4); };
  CHECK(error({0xc0000000, 0x1310de7e, 0x0008020c, 0}) == 0xa1);           // a word too much
  CHECK(error({0xc0000000, 0x1310de7e, 0x0008000c}) == 0xa1);              // no bytes of value
  CHECK(error({0xc0000000, 0x1310de7e, 0x0008020d}) == 0xa1);              // no value
  CHECK(error({0xc0000000, 0x1310de7e, 0x0008020d, 2}) == 0xa1);           // not on or off
  CHECK(error({0xc0000000, 0x1310de7e, 0x000a020d, 1}) == 0xa1);           // not 0 or 2
  CHECK(error({0xc0000000, 0x1310de7e, 0x0008020d, 0x00010001}) == 0xa1);  // too wide
  CHECK(error({0xc0000000, 0x1310de7e, 0x00ff020c}) == 0x1e3);
  CHECK(bench.gpu.knob(8) == 0);
}

TEST_CASE("rules of the queues") {
  Bench bench("h100-pcie");
  SECTION("one request after the other") {
    bench.Send(kReadCcMode);
    bench.Write(kData, 0);
    CHECK(bench.Broken() == "a request is written while one waits to be taken");
    bench.Write(kRequestTail, kBase);
    CHECK(bench.Broken() == "queue pointers are moved while a request waits to be taken");
  }
  SECTION("a hung one may be withdrawn") {
    bench.gpu.Set(Fault::kRpcSilent);
    bench.Send(kReadCcMode);
    bench.clock.SleepFor(std::chrono::seconds(1));
    bench.Write(kRequestTail, kBase);
    CHECK(bench.Broken().empty());
  }
  SECTION("answers are fetched before the next request") {
    bench.Send(kReadCcMode);
    bench.clock.SleepFor(milliseconds(10));
    bench.Send(kReadCcMode);
    CHECK(bench.Broken() == "a request is written over an answer that nobody has fetched");
  }
  SECTION("only an answer is read") {
    bench.Write(kPort, kBase | kIncrement);
    bench.Read(kData);
    CHECK(bench.Broken() == "EMEM read at 0x800, where there is no answer");
  }
  SECTION("pointers stay in their window") {
    bench.Write(kRequestTail, 4 * kBase);
    CHECK(bench.Broken() == "queue pointer 0x2000 of channel 2");
  }
}

TEST_CASE("rules of the mailbox") {
  Bench bench("b200");
  REQUIRE((bench.Read(kRequestInfo) & kReady) != 0);
  bench.Write(kRequestInfo, 12 | kTrigger);
  CHECK((bench.Read(kRequestInfo) & (kReady | kCredit)) == 0);
  SECTION("one announcement after the other") {
    bench.Write(kRequestInfo, 12 | kTrigger);
    CHECK(bench.Broken() == "a request is announced while another one waits");
  }
  SECTION("words cost credit") {
    bench.Write(kRequestData, kReadCcMode[0]);
    CHECK(bench.Broken() == "a word is pushed without credit");
  }
  SECTION("answers are fetched before the next request, and not more than they are") {
    bench.clock.SleepFor(milliseconds(1));
    REQUIRE((bench.Read(kRequestInfo) & kCredit) != 0);
    for (const uint32_t word : kReadCcMode) bench.Write(kRequestData, word);
    CHECK((bench.Read(kAnswerInfo) & kReady) == 0);
    bench.clock.SleepFor(milliseconds(10));
    REQUIRE(bench.Read(kAnswerInfo) == (24 | kReady));
    CHECK(bench.Broken().empty());
    SECTION("unread") {
      bench.Write(kRequestInfo, 12 | kTrigger);
      CHECK(bench.Broken() == "a request is announced before the answer is fetched");
    }
    SECTION("too much") {
      for (int i = 0; i < 6; ++i) bench.Read(kAnswerData);
      CHECK(bench.Broken().empty());
      bench.Read(kAnswerData);
      CHECK(bench.Broken() == "a word is popped that is not there");
    }
  }
}

TEST_CASE("credit is for 64 bytes") {
  Bench bench("b200");
  bench.Write(kRequestInfo, 128 | kTrigger);
  bench.clock.SleepFor(milliseconds(1));
  for (int i = 0; i < 16; ++i) bench.Write(kRequestData, 0);
  CHECK((bench.Read(kRequestInfo) & kCredit) == 0);
  CHECK(bench.Broken().empty());
}

TEST_CASE("knobs by message have an order, and the decoupler belongs to the mode") {
  Bench bench("h100-pcie");
  const auto write = [&](uint32_t id, uint32_t value) {
    CHECK(bench.Ask({0xc0000000, 0x1310de7e, id << 16 | 0x20d, value}).at(4) == 0);
  };
  SECTION("devtools without CC") {
    write(6, 1);
    CHECK(bench.Broken() == "devtools is written without CC");
  }
  SECTION("CC without decoupler") {
    write(8, 1);
    REQUIRE(bench.gpu.FunctionLevelReset().ok());
    CHECK(bench.Broken() == "the decoupler knob is 0 when the mode takes effect");
  }
  SECTION("protected PCIe without decoupler") {
    write(45, 1);
    REQUIRE(bench.gpu.FunctionLevelReset().ok());
    CHECK(bench.Broken() == "the decoupler knob is 0 when the mode takes effect");
  }
  SECTION("decoupler with devtools") {
    write(10, 2);
    write(8, 1);
    write(6, 1);
    REQUIRE(bench.gpu.FunctionLevelReset().ok());
    CHECK(bench.Broken() == "the decoupler knob is 2 when the mode takes effect");
  }
}

TEST_CASE("a decoupled GPU shows no more than it must") {
  Bench bench("h100-pcie");
  CHECK(bench.Read(0x820344) == 0);
  bench.gpu.SetKnob(10, 2);
  bench.gpu.SetKnob(8, 1);
  REQUIRE(bench.gpu.FunctionLevelReset().ok());
  bench.clock.SleepFor(std::chrono::seconds(2));
  CHECK(bench.gpu.sealed());
  CHECK(bench.Read(0x820344) == 0xbadf5040);
  CHECK(bench.Read(0x1182cc) == 1);
  CHECK(bench.Ask(kReadCcMode).size() == 6);
}

TEST_CASE("Hopper is sealed with decoupler and without the features that CC must not have") {
  Bench bench("h100-pcie");
  const auto sealed = [&](uint16_t knob, uint16_t value) {
    const uint16_t before = bench.gpu.knob(knob);
    bench.gpu.SetKnob(knob, value);
    REQUIRE(bench.gpu.FunctionLevelReset().ok());
    bench.gpu.SetKnob(knob, before);
    return bench.gpu.sealed();
  };
  CHECK_FALSE(sealed(8, 1));
  bench.gpu.SetKnob(10, 2);
  CHECK(sealed(8, 1));
  CHECK(sealed(45, 1));
  bench.gpu.SetKnob(8, 1);
  CHECK_FALSE(sealed(6, 1));
  CHECK_FALSE(sealed(10, 0));
  for (const int feature : {2, 4, 34}) CHECK_FALSE(sealed(static_cast<uint16_t>(feature), 1));
}

TEST_CASE("firmware that boots takes no request") {
  Bench bench("h100-pcie");
  REQUIRE(bench.gpu.FunctionLevelReset().ok());
  bench.clock.SleepFor(milliseconds(500));
  bench.Send(kReadCcMode);
  bench.clock.SleepFor(milliseconds(400));
  CHECK(bench.Read(kRequestHead) != bench.Read(kRequestTail));
  bench.clock.SleepFor(milliseconds(200));
  CHECK(bench.Receive().size() == 6);
}
