// SPDX-License-Identifier: Apache-2.0
//
// A device that is armed, failed or in an unknown mode is offered to nobody, whoever has died.
#include "daemons/cc-manager/unusable.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using cc::State;
using vgpu::Fault;

namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Node : NodeWorld {
  explicit Node(int gpus = 2, const std::string& mode = "off")
      : NodeWorld(std::vector<std::string_view>(static_cast<size_t>(gpus), "h100-pcie"), true,
                  {{kMode, mode}}) {
    REQUIRE(Settle().status.ok());
  }
  std::string Mark(size_t device) { return Document().devices.at(device).unusable; }
};

}  // namespace

TEST_CASE("what is to be armed is marked before a knob is written, until it is in the mode") {
  Node world;
  CHECK(world.Mark(0).empty());
  world.SetMode("on");
  std::string armed, resetting;
  world.wakeup.AtLastMoment([&] { armed = world.Mark(0); });
  world.machine.kernel.OnWrite([&](const std::string& path) {
    if (path.ends_with("/reset")) resetting = world.Mark(0);
  });
  CHECK(world.Settle().status.ok());
  CHECK(Has(armed, "changed to on"));
  CHECK(Has(resetting, "changed to on"));
  CHECK(world.Mark(0).empty());
}

TEST_CASE("what cannot be published is not begun") {
  Node world;
  const Phase phase = GENERATE(Phase::kWithdrawing, Phase::kArming, Phase::kResetting);
  world.SetMode("on");
  world.machine.kernel.FailWritesWhile([&](const std::string& path) {
    return path.ends_with("/cc-manager.json") && world.manager->stand().phase == phase;
  });
  const auto result = world.Settle();
  CAPTURE(ToString(phase), Text(result.status));
  CHECK_FALSE(result.status.ok());
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  CHECK(world.ModeState() == "failed");
  world.machine.kernel.FailWritesWhile({});
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("a GPU that stays behind in another mode is not to be used, the others are") {
  Node world;
  world.SetMode("on");
  world.machine.gpu(1).Set(Fault::kResetNoLatch);
  REQUIRE_FALSE(world.Settle().status.ok());
  CHECK(world.Mark(0).empty());
  CHECK(Has(world.Mark(1), "it is off, and the node is to be on"));
  world.Restart();
  REQUIRE_FALSE(world.Settle().status.ok());
  CHECK_FALSE(world.Mark(1).empty());
  world.machine.gpu(1).Set(Fault::kResetNoLatch, false);
  CHECK(world.Settle().status.ok());
  CHECK(world.Mark(1).empty());
}

TEST_CASE("a GPU that is dead after its reset is not to be used") {
  Node world;
  world.SetMode("on");
  world.machine.gpu(1).Set(Fault::kDeadAfterReset);
  REQUIRE_FALSE(world.Settle().status.ok());
  CHECK(Has(world.Mark(1), "its mode is not known"));
  CHECK(world.Mark(0).empty());
}

TEST_CASE("a change that was refused before anything was written leaves all usable") {
  Node world;
  world.SetMode("on");
  world.machine.gpu(1).Set(Fault::kKnobLocked);
  REQUIRE_FALSE(world.Settle().status.ok());
  CHECK(world.Mark(0).empty());
  CHECK(world.Mark(1).empty());
  CHECK_FALSE(world.Document().devices[1].withdraw);
}

TEST_CASE("what could not be disarmed is marked, asked again and disarmed when it answers") {
  Node world(1);
  world.SetMode("on");
  world.wakeup.AtLastMoment([&] {
    world.SetMode("off");
    world.machine.gpu(0).Set(Fault::kRpcSilent);
  });
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(world.machine.Pending(0) == State::kOn);
  CHECK_FALSE(world.Mark(0).empty());
  world.wakeup.AtLastMoment({});

  // It is off, as wanted, and does not tell what is armed: that is not known, and not none.
  world.Settle();
  CHECK_FALSE(world.Mark(0).empty());
  world.Restart();
  world.Settle();
  CHECK_FALSE(world.Mark(0).empty());

  world.machine.gpu(0).Set(Fault::kRpcSilent, false);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
  CHECK(world.Resets() == 0);
  CHECK(world.Mark(0).empty());
}

TEST_CASE("a mark outlives its writer, and a device that has gone") {
  Node world;
  world.SetMode("on");
  world.wakeup.AtLastMoment([&] {
    // The hardware side is gone and nobody knows what it has still done.
    for (size_t i = 0; i < 2; ++i) world.machine.gpu(i).Set(Fault::kRpcSilent);
    world.SetMode("off");
  });
  world.Settle();
  REQUIRE_FALSE(world.Mark(1).empty());
  Unusable next(world.machine.kernel);
  CHECK(next.marks().size() == 2);
  CHECK(next.Update({.phase = Phase::kFailed}).size() == 2);
}

TEST_CASE("a device that need not have a mode may be used, and a GPU without modes always") {
  const DeviceView unknown_chip{.bdf = *pci::Bdf::Parse("0000:01:00.0"), .settled = true};
  fake::TempRoot root;
  const HostFs fs(root.path());
  CHECK(Unusable(fs).Update({.phase = Phase::kSteady, .devices = {unknown_chip}}).empty());

  NodeWorld world({"h100-pcie", "a100"}, true, {{kMode, "on"}});
  CHECK_FALSE(world.Settle().status.ok());
  for (const auto& device : world.Document().devices) CHECK(device.unusable.empty());
}

TEST_CASE("devices that are in the mode stay offered while users of others are waited for") {
  Node world(2, "on");
  world.machine.Bring(1, Mode::kOff);
  world.machine.HoldOpen(1, 7, "qemu");
  world.wakeup.Then([&] {
    CHECK_FALSE(world.Document().devices[0].withdraw);
    CHECK(world.Document().devices[1].withdraw);
    world.machine.root.Remove("/proc/7");
  });
  bool withdrawn = false;
  world.wakeup.AtLastMoment([&] { withdrawn = world.Document().devices[0].withdraw; });
  CHECK(world.Settle().status.ok());
  CHECK(withdrawn);
}
