// SPDX-License-Identifier: Apache-2.0
//
// The hardware side dies and another is started, while the API side lives.
#include <catch2/catch.hpp>
#include <cstdio>

#include "daemons/cc-manager/run.h"
#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

// The hardware side as the API side sees it: one that has died in a call is gone for that call and
// for what belongs to its change, and the next query or arming finds another.
class MortalHardware : public Hardware {
 public:
  MortalHardware(fake::Machine& machine, int accesses)
      : machine_(machine),
        life_(accesses),
        mortal_(std::make_unique<fake::MortalMachine>(machine, life_)),
        hardware_(std::make_unique<LocalHardware>(mortal_->host())) {}

  bool died() const { return mortal_ == nullptr; }

  absl::StatusOr<Survey> Query(Mode mode, bool ask) override {
    return Ask([&] { return hardware_->Query(mode, ask); });
  }
  absl::StatusOr<Progress> Arm(Mode mode) override {
    return Ask([&] { return hardware_->Arm(mode); });
  }
  absl::StatusOr<Progress> Disarm() override {
    return Ask([&] { return hardware_->Disarm(); });
  }
  absl::StatusOr<Progress> Reset() override {
    return Ask([&] { return hardware_->Reset(); });
  }

 private:
  template <typename Call>
  auto Ask(Call call) -> decltype(call()) {
    auto answer = call();
    if (!mortal_ || !life_.WasEnded()) return answer;
    hardware_.reset();
    mortal_.reset();
    hardware_ = std::make_unique<LocalHardware>(machine_.host());
    return absl::UnavailableError("the hardware side is gone");
  }

  fake::Machine& machine_;
  fake::Life life_;
  std::unique_ptr<fake::MortalMachine> mortal_;
  std::unique_ptr<LocalHardware> hardware_;
};

class DeadHardware : public Hardware {
 public:
  absl::StatusOr<Survey> Query(Mode, bool) override { return absl::UnavailableError("gone"); }
  absl::StatusOr<Progress> Arm(Mode) override { return absl::UnavailableError("gone"); }
  absl::StatusOr<Progress> Disarm() override { return absl::UnavailableError("gone"); }
  absl::StatusOr<Progress> Reset() override { return absl::UnavailableError("gone"); }
};

Manager MakeManager(NodeWorld& world, Hardware& hardware) {
  return Manager({world.machine.kernel, world.machine.clock, hardware, nullptr, world.wakeup,
                  *world.reporter, [&world] { return world.fallback; }},
                 world.settings);
}

}  // namespace

TEST_CASE("the hardware side alone dies at any access: the next pass mends it") {
  const std::vector<std::string_view> boards =
      GENERATE(std::vector<std::string_view>{"h100-sxm", "nvswitch"});
  int points = 0;
  for (bool finished = false; !finished; points += 7 * fake::kStride) {
    CAPTURE(points);
    REQUIRE(points < 20000);
    NodeWorld world(boards, /*in_cluster=*/false);
    world.fallback = Mode::kPpcie;
    MortalHardware hardware(world.machine, points);
    Manager manager = MakeManager(world, hardware);
    const auto first = manager.Settle();
    finished = !hardware.died();
    REQUIRE(first.status.ok() == finished);
    if (finished) break;
    REQUIRE(first.hardware_gone);
    REQUIRE(manager.stand().phase != Phase::kFailed);
    world.machine.clock.SleepFor(std::chrono::seconds(5));
    REQUIRE(manager.Settle().status.ok());
    REQUIRE(world.AllIn(Mode::kPpcie));
  }
  CHECK(points > 100);
}

TEST_CASE("a hardware side that never lives is told after three times, and the program stays") {
  NodeWorld world({"h100-pcie"}, /*in_cluster=*/false);
  DeadHardware hardware;
  Manager manager = MakeManager(world, hardware);
  world.wakeup.Pass(5);
  std::atomic<bool> ready = false;
  for (int i = 0; i < 2; ++i) {
    CHECK(manager.Settle().hardware_gone);
    CHECK(manager.stand().phase == Phase::kStarting);
  }
  CHECK(RunDaemon(manager, *world.reporter, world.wakeup, world.machine.clock, ready) == 0);
  CHECK(manager.stand().phase == Phase::kFailed);
  CHECK(manager.stand().reason == "hardware side: gone");
}
