// SPDX-License-Identifier: Apache-2.0
//
// The first start on a node that works already: after a fresh installation, in place of NVIDIA's
// daemon, or where /run has been cleared, so that there is no status document.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

// Two GPUs in mode on; virtual machines run on the first `busy`.
struct Busy : NodeWorld {
  Busy(size_t busy, apiserver::Texts labels)
      : NodeWorld({"h100-pcie", "h100-pcie"}, true, std::move(labels)) {
    for (size_t i = 0; i < 2; ++i) machine.Bring(i, Mode::kOn);
    for (size_t i = 0; i < busy; ++i) machine.RunVirtualMachine(i, 4711 + static_cast<int>(i));
    Restart();
    resets = Resets();
    machine.kernel.FailWritesWhile([this](const std::string& path) {
      disturbed = disturbed || (path.ends_with("/cc-manager.json") && InChange(manager->stand()));
      return false;
    });
  }
  uint64_t resets = 0;
  bool disturbed = false;
};

}  // namespace

TEST_CASE(
    "a node full of virtual machines in the wanted mode is not disturbed by the first start") {
  Busy world(GENERATE(1u, 2u), {{kMode, "on"},
                                {"nvidia.com/cc.mode.state", "on"},
                                {"nvidia.com/cc.ready.state", "true"},
                                {kVfio, "true"}});
  CHECK(world.Settle().status.ok());
  CHECK_FALSE(world.disturbed);
  CHECK(world.ReadyState() == "true");
  CHECK(world.ModeState() == "on");
  CHECK(world.Label(kVfio) == "true");
  CHECK(world.Resets() == world.resets);
  for (const auto& device : world.Document().devices) {
    CHECK_FALSE(device.withdraw);
    CHECK(device.unusable.empty());
  }
  CHECK(world.Settle().status.ok());
  CHECK_FALSE(world.disturbed);
}

TEST_CASE("without a word about its mode a GPU in use is spared, and given to nobody else") {
  Busy world(1, {{kMode, "on"}});
  CHECK(world.Settle().status.ok());
  CHECK_FALSE(world.disturbed);
  CHECK(world.Document().devices[0].unusable.find("not known") != std::string::npos);
  CHECK(world.Document().devices[1].unusable.empty());
  world.machine.EndVirtualMachine(0, 4711);
  CHECK(world.Settle().status.ok());
  CHECK(world.Document().devices[0].unusable.empty());
}

TEST_CASE("where nothing is known of any GPU nothing is claimed and nobody disturbed") {
  Busy world(2, {{kMode, "on"}, {kVfio, "true"}});
  CHECK(absl::IsUnavailable(world.Settle().status));
  CHECK_FALSE(world.disturbed);
  CHECK(world.ReadyState() == "");
  CHECK(world.Label(kVfio) == "true");
  world.machine.EndVirtualMachine(0, 4711);
  CHECK(world.Settle().status.ok());
  CHECK(world.ReadyState() == "true");
}

TEST_CASE("a GPU in use whose label names another mode than the wanted one is waited for") {
  Busy world(2, {{kMode, "off"}, {"nvidia.com/cc.mode.state", "on"}});
  world.wakeup.Then([&] {
    CHECK(world.Document().phase == "waiting");
    CHECK(world.Document().reason.find("4711") != std::string::npos);
    world.machine.EndVirtualMachine(0, 4711);
    world.machine.EndVirtualMachine(1, 4712);
  });
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.AllIn(Mode::kOff));
}

TEST_CASE("a stop while such a change waits keeps the word of the label") {
  Busy world(2, {{kMode, "off"}, {"nvidia.com/cc.mode.state", "on"}});
  world.wakeup.Then([&] { world.wakeup.Stop(); });
  CHECK(world.Settle().stopped);
  CHECK(world.ModeState() == "on");
  CHECK(world.ReadyState() == "true");
}
