// SPDX-License-Identifier: Apache-2.0
//
// What happens to a channel to the firmware when its users die or give up, and what travels on it.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/fsp_emem.h"
#include "libgpuhost/gpu/fsp_mnoc.h"
#include "libgpuhost/gpu/prc.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using gpu::Knob;
using std::chrono::microseconds;
using vgpu::Fault;

namespace {

constexpr uint32_t kQueueHead = 0x8f2c10, kMessageHead = 0x8f2c90, kMessageTail = 0x8f2c94;
constexpr uint32_t kAnswerInfo = 0x8f1f04, kRequestInfo = 0x8f1f84;
constexpr uint16_t kNoKnob = 0xffff, kCcMode = 8;

// One device and its channel, by either transport.
struct Channel {
  explicit Channel(std::string_view board) : machine(1, board) {
    const bool mailbox = machine.gpu(0).board().fsp == vgpu::FspPort::kMnoc;
    if (mailbox) {
      transport = std::make_unique<gpu::FspMnoc>(*registers, machine.clock);
    } else {
      transport = std::make_unique<gpu::FspEmem>(*registers, machine.clock);
    }
  }
  vgpu::VirtualGpu& gpu() { return machine.gpu(0); }
  void Ask(uint16_t id) {
    const std::vector<uint32_t> request{0xc0000000, 0x1310de7e, uint32_t{id} << 16 | 0x20c};
    REQUIRE(transport->Send(request).ok());
  }

  fake::Machine machine;
  std::unique_ptr<gpu::Registers> registers =
      *machine.Open(machine.DeviceOf(0), gpu::Access::kReadWrite);
  std::unique_ptr<gpu::FspTransport> transport;
};

// Answers what it is told to.
class Script : public gpu::FspTransport {
 public:
  absl::Status Initialize() override { return absl::OkStatus(); }
  absl::Status Send(std::span<const uint32_t> packet) override {
    sent.emplace_back(packet.begin(), packet.end());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<uint32_t>> Receive(Duration) override {
    const uint32_t id = sent.back()[2] >> 16;
    if (id == kNoKnob) return std::vector<uint32_t>{0xc0000000, 0x1510de7e, 0, 0x13, 0x1e3};
    std::vector<uint32_t> answer{0xc0000000, 0x1510de7e, 0, 0x13, 0};
    if ((sent.back()[2] & 0xff) == 0x0c) answer.push_back(value);
    return answer;
  }
  std::vector<std::vector<uint32_t>> sent;
  uint32_t value = 0;
};

}  // namespace

// Source of the words: gpu-admin-tools v2025.10.20.
TEST_CASE("reading and writing a knob are these words, and each write is read back") {
  Script script;
  gpu::Prc firmware(script);
  script.value = 1;
  REQUIRE(firmware.Connect().ok());
  script.sent.clear();
  CHECK(firmware.Read(Knob::kPpcie).value() == 1);
  CHECK(firmware.Write(Knob::kCcMode, 1).ok());
  using Words = std::vector<uint32_t>;
  CHECK(script.sent == std::vector<Words>{{0xc0000000, 0x1310de7e, 0x002d020c},
                                          {0xc0000000, 0x1310de7e, 0x0008020d, 1},
                                          {0xc0000000, 0x1310de7e, 0x0008020c}});
}

TEST_CASE("a knob that is something else after it was written is no success") {
  Script script;
  gpu::Prc firmware(script);
  script.value = 0xabcd0000;
  const absl::Status written = firmware.Write(Knob::kCcMode, 1);
  CHECK(absl::IsDataLoss(written));
  CHECK(Text(written) == "write cc-mode := 1: its firmware has 0 afterwards");
}

TEST_CASE(
    "whenever a successor comes to a channel that somebody died over, its answers are its own") {
  const std::string_view board = GENERATE("h100-pcie", "nvswitch", "b200");
  for (int delay = 0; delay <= 2500; delay += 50) {
    CAPTURE(board, delay);
    Channel channel(board);
    channel.gpu().Set(Fault::kStaleQueue);  // its answers say 1
    channel.machine.clock.SleepFor(microseconds(delay));
    gpu::Prc firmware(*channel.transport);
    REQUIRE(firmware.Connect().ok());
    CHECK(firmware.Read(Knob::kCcMode).value() == 0);
    REQUIRE(firmware.Write(Knob::kCcMode, 1).ok());
    CHECK(firmware.Read(Knob::kCcDevtools).value() == 0);
    CHECK(firmware.Read(Knob::kCcMode).value() == 1);
  }
}

TEST_CASE("a successor of one that died over its own probe is in step too") {
  const std::string_view board = GENERATE("h100-pcie", "b200");
  const uint16_t asked = GENERATE(kNoKnob, kCcMode);
  for (int delay = 0; delay <= 2500; delay += 50) {
    CAPTURE(board, asked, delay);
    Channel channel(board);
    REQUIRE(channel.transport->Initialize().ok());
    channel.Ask(asked);
    channel.machine.clock.SleepFor(microseconds(delay));
    gpu::Prc firmware(*channel.transport);
    REQUIRE(firmware.Connect().ok());
    CHECK(firmware.MayChange(Knob::kCcMode).value());
    CHECK(firmware.Read(Knob::kCcMode).value() == 0);
  }
}

TEST_CASE("an answer that comes after its time is not that of the next request") {
  Channel channel(GENERATE("h100-pcie", "b200"));
  gpu::Prc firmware(*channel.transport);
  REQUIRE(firmware.Connect().ok());
  channel.gpu().SetKnob(45, 1);
  channel.gpu().Set(Fault::kLateAnswer);
  CHECK(absl::IsDeadlineExceeded(firmware.MayChange(Knob::kCcMode).status()));  // later: 1
  channel.gpu().Set(Fault::kLateAnswer, false);
  CHECK(firmware.Read(Knob::kCcMode).value() == 0);
  CHECK(firmware.MayChange(Knob::kCcMode).value());
}

TEST_CASE("firmware that always answers late is not talked to") {
  Channel channel(GENERATE("h100-pcie", "b200"));
  channel.gpu().Set(Fault::kLateAnswer);
  gpu::Prc firmware(*channel.transport);
  CHECK(absl::IsDeadlineExceeded(firmware.Connect()));
}

TEST_CASE("firmware that a driver holds says so") {
  Channel channel(GENERATE("h100-pcie", "b200"));
  channel.gpu().Set(Fault::kDriverBound);
  gpu::Prc firmware(*channel.transport);
  const absl::Status status = firmware.Read(Knob::kCcMode).status();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(Text(status).find("a driver holds the GPU") != std::string::npos);
}

TEST_CASE("an answer is taken off its queue") {
  Channel channel("h100-pcie");
  gpu::Prc firmware(*channel.transport);
  REQUIRE(firmware.Read(Knob::kCcMode).ok());
  CHECK(channel.registers->Read32(kMessageHead).value() ==
        channel.registers->Read32(kMessageTail).value());
  Channel mailbox("b200");
  gpu::Prc other(*mailbox.transport);
  REQUIRE(other.Read(Knob::kCcMode).ok());
  CHECK(mailbox.registers->Read32(kAnswerInfo).value() == 0);
}

TEST_CASE("a request waits until the one before is taken, and for answers to be fetched") {
  Channel channel(GENERATE("h100-pcie", "b200"));
  REQUIRE(channel.transport->Initialize().ok());
  channel.Ask(kCcMode);
  channel.Ask(kCcMode);  // the model ends the program otherwise
  channel.gpu().Set(Fault::kStaleQueue);
  channel.Ask(kCcMode);
}

TEST_CASE("a request that is on its way is not withdrawn") {
  Channel channel(GENERATE("h100-pcie", "b200"));
  REQUIRE(channel.transport->Initialize().ok());
  channel.Ask(kCcMode);
  CHECK(channel.transport->Initialize().ok());  // the model ends the program otherwise
}

TEST_CASE("an answer that was left in the mailbox is dropped when the channel is set up") {
  Channel channel("b200");
  channel.gpu().Set(Fault::kStaleQueue);
  REQUIRE((channel.registers->Read32(kAnswerInfo).value() & 1u << 24) != 0);
  REQUIRE(channel.transport->Initialize().ok());
  CHECK((channel.registers->Read32(kAnswerInfo).value() & 1u << 24) == 0);
}

// As gpu-admin-tools v2025.10.20, which looks at the flag of the answer box after a time-out only.
TEST_CASE("an old error flag of the answer mailbox refuses nothing") {
  Channel channel("b200");
  channel.gpu().Set(Fault::kStaleError);
  gpu::Prc firmware(*channel.transport);
  REQUIRE(firmware.Write(Knob::kCcMode, 1).ok());
  CHECK(channel.gpu().knob(8) == 1);
  CHECK(channel.registers->Read32(kAnswerInfo).value() == 0);
  channel.gpu().Set(Fault::kStaleError);
  channel.gpu().Set(Fault::kRpcSilent);
  CHECK(Text(firmware.Read(Knob::kCcMode).status()).find("shows an error") != std::string::npos);
}

TEST_CASE("pointers and flags that are no content are an error, not an empty queue") {
  const uint32_t value = GENERATE(0xbadf5040u, 0xbadf1001u, 0xbad00200u, 0xffffffffu);
  const bool dead = value == 0xffffffff;
  const auto check = [&](std::string_view board, uint32_t offset) {
    CAPTURE(board, offset, value);
    Channel channel(board);
    channel.gpu().SetRegister(offset, value);
    gpu::Prc firmware(*channel.transport);
    const absl::Status status = firmware.Read(Knob::kCcMode).status();
    CHECK((dead ? absl::IsUnavailable(status) : absl::IsDataLoss(status)));
  };
  for (const uint32_t offset : {kQueueHead, kQueueHead + 4, kMessageHead, kMessageTail}) {
    check("h100-pcie", offset);
  }
  for (const uint32_t offset : {kAnswerInfo, kRequestInfo}) check("b200", offset);
}
