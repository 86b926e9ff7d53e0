// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/fsp_emem.h"
#include "libgpuhost/gpu/prc.h"
#include "libgpuhost/gpu/session.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using gpu::Knob;
using vgpu::Fault;

namespace {

struct Channel {
  Channel() : registers(*machine.Open(machine.DeviceOf(0), gpu::Access::kReadWrite)) {}
  vgpu::VirtualGpu& gpu() { return machine.gpu(0); }

  fake::Machine machine;
  std::unique_ptr<gpu::Registers> registers;
  gpu::FspEmem transport{*registers, machine.clock};
  gpu::Prc firmware{transport};
};

}  // namespace

TEST_CASE("knobs are read and written, pending until a reset") {
  Channel channel;
  REQUIRE(channel.transport.Initialize().ok());
  CHECK(channel.firmware.Read(Knob::kCcMode).value() == 0);
  REQUIRE(channel.firmware.Write(Knob::kCcMode, 1).ok());
  CHECK(channel.firmware.Read(Knob::kCcMode).value() == 1);
  CHECK(channel.gpu().knob(8) == 1);
  CHECK(channel.gpu().mode_word() == 0);
  CHECK(channel.firmware.MayChange(Knob::kCcMode).value());
}

TEST_CASE("whatever the firmware does wrong is an error with a text") {
  Channel channel;
  REQUIRE(channel.transport.Initialize().ok());
  const auto read_with = [&](Fault fault) {
    channel.gpu().Set(fault);
    const absl::Status status = channel.firmware.Read(Knob::kCcMode).status();
    channel.gpu().Set(fault, false);
    REQUIRE(channel.transport.Initialize().ok());
    return status;
  };
  CHECK(absl::IsDeadlineExceeded(read_with(Fault::kRpcSilent)));
  CHECK(absl::IsFailedPrecondition(read_with(Fault::kRpcError)));
  CHECK(absl::IsDataLoss(read_with(Fault::kRpcGarbage)));
  CHECK(absl::IsDataLoss(read_with(Fault::kRpcWrongEcho)));
  CHECK(absl::IsDataLoss(read_with(Fault::kRpcShort)));
  CHECK(absl::IsDataLoss(read_with(Fault::kRpcOversize)));
  CHECK(channel.firmware.Read(Knob::kCcMode).ok());
}

TEST_CASE("a knob that old firmware lacks and a locked one are told apart") {
  Channel channel;
  REQUIRE(channel.transport.Initialize().ok());
  channel.gpu().Set(Fault::kPpcieUnknown);
  CHECK(absl::IsNotFound(channel.firmware.Read(Knob::kPpcie).status()));
  channel.gpu().Set(Fault::kKnobLocked);
  CHECK_FALSE(channel.firmware.MayChange(Knob::kCcMode).value());
  CHECK_FALSE(channel.firmware.Write(Knob::kCcMode, 1).ok());
}

TEST_CASE("queues left dirty by an earlier user are brought into order") {
  Channel channel;
  channel.gpu().Set(Fault::kStaleQueue);
  REQUIRE(channel.transport.Initialize().ok());
  CHECK(channel.firmware.Read(Knob::kCcMode).value() == 0);
}

TEST_CASE("a session wakes a sleeping device and puts it back to sleep") {
  fake::Machine machine;
  const std::string control = "/sys/bus/pci/devices/0000:01:00.0/power/control";
  machine.root.File(control, "auto\n");
  machine.gpu(0).Set(Fault::kAsleepD3hot);
  machine.gpu(0).WriteConfig(0x04, 2, 0);
  {
    const auto session = gpu::Session::Open(machine.host(), machine.DeviceOf(0));
    REQUIRE(session.ok());
    CHECK(machine.root.Content(control) == "on\n");
    CHECK((*session)->ReadModeWord().value() == 0);
  }
  CHECK(machine.root.Content(control) == "auto\n");
  CHECK(machine.gpu(0).ReadConfig(0x04, 2) == 0);
}

TEST_CASE("a session is refused where the device cannot take part") {
  fake::Machine machine;
  const auto open = [&] {
    return gpu::Session::Open(machine.host(), machine.DeviceOf(0)).status();
  };
  machine.gpu(0).Set(Fault::kNeverBoots);
  REQUIRE(machine.gpu(0).FunctionLevelReset().ok());
  const absl::Status status = open();
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK(Text(status).find("has not booted after 10 s") != std::string::npos);
  machine.gpu(0).Set(Fault::kRecovery);
  CHECK(absl::IsFailedPrecondition(open()));
  machine.gpu(0).Set(Fault::kDead);
  CHECK(absl::IsUnavailable(open()));
}

TEST_CASE("one session at a time") {
  fake::Machine machine;
  const auto first = gpu::Session::Open(machine.host(), machine.DeviceOf(0));
  REQUIRE(first.ok());
  const auto second = gpu::Session::Open(machine.host(), machine.DeviceOf(0));
  CHECK(absl::IsUnavailable(second.status()));
}
