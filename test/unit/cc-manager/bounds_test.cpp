// SPDX-License-Identifier: Apache-2.0
//
// Whatever fails, nothing is tried without a pause and without a bound: hours pass on a clock that
// jumps, and what has been done to devices, neighbours and the API server is counted.
#include <catch2/catch.hpp>

#include "daemons/cc-manager/budget.h"
#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using vgpu::Fault;

namespace {

const apiserver::Texts kOperandLabels{{kMode, "on"}, {kVfio, "true"}, {kKataPlugin, "true"}};

}  // namespace

TEST_CASE("a user of a GPU that takes no part does not make a failed change go round for ever") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  REQUIRE(world.Settle().status.ok());
  world.machine.Bring(1, Mode::kOff);
  world.machine.HoldOpen(0, 7, "qemu");
  int arms = 0;
  // Its firmware says no only once it is to be armed. The bound ends a test that fails.
  world.OnPublish(Phase::kArming, [&] {
    world.machine.gpu(1).Set(Fault::kKnobLocked);
    if (++arms > 50) world.machine.root.Remove("/proc/7");
  });
  const auto result = world.Settle();
  CHECK_FALSE(result.status.ok());
  CHECK(arms == 1);
  CHECK(world.ModeState() == "failed");
  CHECK_FALSE(world.wakeup.exhausted());
}

TEST_CASE("nor does a user whose GPU is taken by force") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  world.settings.policy = WorkloadPolicy::kForce;
  world.Restart();
  world.machine.HoldOpen(0, 7, "qemu");
  int arms = 0;
  world.OnPublish(Phase::kArming, [&] {
    world.machine.gpu(1).Set(Fault::kRpcError);
    if (++arms > 50) world.machine.root.Remove("/proc/7");
  });
  CHECK_FALSE(world.Settle().status.ok());
  CHECK(arms == 1);
}

TEST_CASE("a GPU that is taken again and again between look and arm is waited for some times") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, {{kMode, "on"}});
  int arms = 0;
  world.OnPublish(Phase::kArming, [&] {
    if (++arms < 50) world.machine.HoldOpen(1, 7, "qemu");
  });
  for (int i = 0; i < 100; ++i) world.wakeup.Then([&] { world.machine.root.Remove("/proc/7"); });
  const bool stops = GENERATE(false, true);
  if (stops) world.wakeup.Stop();
  const TimePoint start = world.machine.clock.Now();
  const auto result = world.Settle();
  CHECK(result.stopped == stops);
  CHECK_FALSE(result.status.ok());
  CHECK(arms == (stops ? 1 : 5));
  CHECK(world.machine.clock.Now() - start >= seconds(stops ? 1 : 4));
  CHECK(world.Resets() == 0);
}

TEST_CASE("a GPU whose knobs are locked disturbs nobody, and is switched once they are not") {
  NodeWorld world({"h100-pcie", "h100-pcie"}, true, kOperandLabels);
  world.AddOperands();
  world.machine.gpu(1).Set(Fault::kKnobLocked);
  bool withdrawn = false, locked = true;
  world.machine.kernel.FailWritesWhile([&](const std::string& path) {
    const bool change = path.ends_with("/cc-manager.json") && InChange(world.manager->stand());
    withdrawn = withdrawn || (change && locked);
    return false;
  });
  const TimePoint start = world.machine.clock.Now();
  world.wakeup.Pass(50);
  world.wakeup.Then([&] {
    CHECK(world.machine.clock.Now() - start > hours(3));
    CHECK(world.OperandPatches() == 0);
    CHECK(world.server->patches().size() <= 2);
    CHECK_FALSE(withdrawn);
    CHECK(world.ModeState() == "failed");
    CHECK(world.server->AnnotationsOf("n")[kStatusAnnotation].find("0000:02:00.0") !=
          std::string::npos);
    world.machine.gpu(1).Set(Fault::kKnobLocked, locked = false);
  });
  CHECK(world.RunFor(hours(6)) == 0);
  CHECK(world.AllIn(Mode::kOn));
  CHECK(world.Label(kVfio) == "true");
}

TEST_CASE("a GPU that refuses only when it is armed disturbs the node ever more rarely") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  world.AddOperands();
  int arms = 0;
  world.machine.kernel.FailWritesWhile([&](const std::string& path) {
    if (!path.ends_with("/cc-manager.json")) return false;
    const Phase phase = world.manager->stand().phase;
    if (phase == Phase::kArming) ++arms;
    world.machine.gpu(0).Set(Fault::kKnobLocked, phase == Phase::kArming);
    return false;
  });
  CHECK(world.RunFor(hours(12)) == 0);
  CHECK(arms > 8);
  CHECK(arms < 30);
  CHECK(world.OperandPatches() <= 2 * arms + 1);
  CHECK(world.Resets() == 0);
}

TEST_CASE("a GPU whose firmware stays silent is reset once, and disturbs nobody afterwards") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  world.AddOperands();
  world.machine.gpu(0).Set(Fault::kRpcSilent);
  CHECK(world.RunFor(hours(4)) == 0);
  CHECK(world.Resets() == 1);
  CHECK(world.OperandPatches() <= 3);
}

TEST_CASE("a GPU that does not get into the mode is not reset for ever") {
  NodeWorld world({"h100-pcie"}, true, kOperandLabels);
  world.AddOperands();
  world.machine.gpu(0).Set(Fault::kResetNoLatch);
  CHECK(world.RunFor(hours(24)) == 0);
  CHECK(world.Resets() == 12);  // six passes, twice in each
  CHECK(world.ModeState() == "failed");
}

TEST_CASE("whoever asks by hand gets another try of what has been given up") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.machine.gpu(0).Set(Fault::kResetNoLatch);
  world.wakeup.Pass(300);
  world.wakeup.Then([&] {
    CHECK(world.Resets() == 12);
    world.machine.gpu(0).Set(Fault::kResetNoLatch, false);
    world.wakeup.Ask();
  });
  CHECK(world.RunFor(hours(40)) == 0);
  CHECK(world.AllIn(Mode::kOn));
}

TEST_CASE("drivers that operands take and give back are no reason to try a failed change again") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.machine.gpu(0).Set(Fault::kKnobLocked);
  const auto failed = world.Settle();
  REQUIRE_FALSE(failed.status.ok());
  CHECK_FALSE(world.manager->HasWork(failed, true));
  world.machine.Bring(0, Mode::kOff);
  CHECK_FALSE(world.manager->HasWork(failed, true));
  world.machine.gpu(0).Set(Fault::kDead);
  CHECK(world.manager->HasWork(failed, true));
}

TEST_CASE("twenty changes of mind between two looks at an armed GPU leave it disarmed") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  int rounds = 0;
  world.wakeup.AtLastMoment([&] {
    if (++rounds < 20) world.SetMode(rounds % 2 == 0 ? "on" : "devtools");
  });
  world.wakeup.Pass(1000);
  world.Settle();
  CHECK(world.Resets() == 1);
  CHECK(world.AllIn(Mode::kDevtools));
  world.machine.clock.SleepFor(minutes(2));
  CHECK(world.Show().ok());
  CHECK(world.ModeState() == "devtools");
}

TEST_CASE("whoever takes back each label gets ever fewer patches") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  REQUIRE(world.Settle().status.ok());
  const size_t before = world.server->patches().size();
  const auto spoil = [&](int times, Duration pause) {
    absl::Status shown;
    for (int i = 0; i < times; ++i) {
      world.server->SetLabels("n", {{"nvidia.com/cc.ready.state", "maybe"}});
      shown = world.Show();
      world.machine.clock.SleepFor(pause);
    }
    return shown;
  };
  CHECK(absl::IsResourceExhausted(spoil(100, std::chrono::milliseconds(200))));
  CHECK(world.server->patches().size() - before <= 10);
  spoil(720, seconds(5)).IgnoreError();
  CHECK(world.server->patches().size() - before <= 75);
  world.machine.clock.SleepFor(minutes(5));
  CHECK(world.Show().ok());
  CHECK(world.ReadyState() == "false");
}

TEST_CASE("a budget is five at once and one a second for whoever does not use it up") {
  Budget budget;
  TimePoint now(hours(1));
  const auto take = [&] {
    const bool left = budget.IsLeft(now);
    if (left) budget.Spend();
    return left;
  };
  for (int i = 0; i < 1000; ++i) {
    now += seconds(1);
    CHECK(take());
  }
  now += seconds(1);
  for (int i = 0; i < 5; ++i) CHECK(take());
  CHECK_FALSE(take());
  int taken = 0;
  for (int i = 0; i < 3600; ++i) {
    now += seconds(1);
    taken += take() ? 1 : 0;
  }
  CHECK(taken < 70);
  now += minutes(5);
  for (int i = 0; i < 5; ++i) CHECK(take());
}

TEST_CASE("an API server that does not listen is asked ever more rarely") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  world.server->AddFault({.match = "PATCH", .times = 1000000, .code = 503});
  CHECK(world.RunFor(hours(1)) == 0);
  CHECK(world.server->patches().size() < 150);
  CHECK(world.server->patches().size() > 20);
}

TEST_CASE("what the API server asks for is waited, a minute at most") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "on"}});
  world.server->AddFault({.match = "PATCH", .times = 1, .code = 429, .retry_after = 86400});
  const TimePoint start = world.machine.clock.Now();
  world.wakeup.Pass(3);
  CHECK(world.Settle().status.ok());
  CHECK(world.machine.clock.Now() - start >= minutes(1));
  CHECK(world.machine.clock.Now() - start < minutes(2));
}
