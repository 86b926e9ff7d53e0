// SPDX-License-Identifier: Apache-2.0
//
// The process dies at any access to the hardware, on every family of chips, and once more while the
// next run recovers. A death right after a write is one before the access that follows; a write
// that the kernel still carries out for a process that has died is a case of its own.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <random>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/execute.h"
#include "test/fake/mortal.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;

namespace {

struct Family {
  std::vector<std::string_view> boards;
  Mode from, crashed, wanted;
};

std::vector<Family> Families() {
  std::vector<Family> families{
      {{"h100-sxm", "nvswitch"}, Mode::kOff, Mode::kPpcie, Mode::kPpcie},
      {{"h100-sxm", "nvswitch"}, Mode::kPpcie, Mode::kOn, Mode::kOff},
  };
  for (const std::string_view board :
       {"h100-pcie", "h200-sxm", "h800-pcie", "h20-sxm", "b200", "b300", "gb300", "rtx-pro-6000"}) {
    families.push_back({{board}, Mode::kOff, Mode::kOn, Mode::kOn});
    families.push_back({{board}, Mode::kOn, Mode::kDevtools, Mode::kOff});
  }
  return families;
}

std::vector<cc::Observation> Observe(fake::Machine& machine) {
  std::vector<cc::Observation> seen;
  for (size_t i = 0; i < machine.size(); ++i) {
    seen.push_back(cc::Observe(machine.host(), machine.DeviceOf(i)));
  }
  return seen;
}

// A node of the family, one change of which has died after so many accesses, if it had that many.
struct Crashed {
  Crashed(const Family& family, int accesses) : machine(family.boards) {
    for (size_t i = 0; i < machine.size(); ++i) machine.Bring(i, family.from);
    Run(family.crashed, accesses);
  }

  void Run(Mode mode, int accesses) {
    const auto seen = Observe(machine);
    fake::Life life(accesses);
    fake::MortalMachine mortal(machine, life);
    cc::ChangeMode(mortal.host(), seen, mode, {});
    survived = !life.WasEnded();
  }

  // The next run, which lives.
  void Mend(const Family& family, const std::vector<cc::Observation>& seen) {
    const cc::Outcome outcome = cc::ChangeMode(machine.host(), seen, family.wanted, {});
    REQUIRE(Text(outcome.status).empty());
    for (size_t i = 0; i < machine.size(); ++i) {
      const auto architecture = gpu::FindChip(machine.DeviceOf(i))->architecture;
      REQUIRE(machine.Effective(i) == cc::StateOf(family.wanted, architecture));
      REQUIRE(machine.Pending(i) == machine.Effective(i));
      for (const cc::KnobStep& step : cc::KnobsOf(family.wanted, architecture)) {
        REQUIRE(machine.gpu(i).knob(static_cast<uint16_t>(step.knob)) == step.value);
      }
    }
  }

  fake::Machine machine;
  bool survived = false;
};

int PointsOf(const Family& family) {
  int points = 0;
  while (!Crashed(family, points).survived) points += 50;
  return points;
}

}  // namespace

TEST_CASE("every family: a death at any access is mended by the next run") {
  for (const Family& family : Families()) {
    int points = 0;
    for (bool finished = false; !finished; points += fake::kStride) {
      CAPTURE(family.boards[0], cc::ToString(family.crashed), points);
      REQUIRE(points < 20000);
      Crashed node(family, points);
      finished = node.survived;
      node.machine.clock.SleepFor(std::chrono::seconds(points / fake::kStride % 2 == 0 ? 5 : 0));
      node.Mend(family, Observe(node.machine));
    }
    std::printf("%s, %s to %s: died and mended at %d points in steps of %d\n",
                std::string(family.boards[0]).c_str(),
                std::string(cc::ToString(family.from)).c_str(),
                std::string(cc::ToString(family.crashed)).c_str(), points, fake::kStride);
    CHECK(points > 100);
  }
}

TEST_CASE("every family: a second death while the next run recovers is mended, too") {
  std::mt19937 random(20261130);
  for (const Family& family : Families()) {
    const int points = PointsOf(family);
    for (int sample = 0; sample < 40; sample += fake::kStride) {
      const auto first = static_cast<int>(random() % static_cast<unsigned>(points));
      const auto second = static_cast<int>(random() % static_cast<unsigned>(points));
      CAPTURE(family.boards[0], first, second);
      Crashed node(family, first);
      node.Run(family.wanted, second);
      node.machine.clock.SleepFor(std::chrono::seconds(5));
      node.Mend(family, Observe(node.machine));
    }
  }
}

// The write goes on in the kernel, in a child that has outlived the process and holds the lock of
// the device: whoever comes next has looked before that reset and gets the device after it.
TEST_CASE("every family: a reset that a dead process had begun ends while the next one begins") {
  for (const Family& family : Families()) {
    CAPTURE(family.boards[0]);
    const uint64_t before = Crashed(family, 0).machine.gpu(0).counters().resets;
    int points = 0;  // to the first reset: right before it all are armed, and the write is next
    while (Crashed(family, points).machine.gpu(0).counters().resets == before) ++points;
    Crashed node(family, points - 1);
    node.machine.clock.SleepFor(std::chrono::seconds(5));
    const auto seen = Observe(node.machine);
    for (size_t i = 0; i < node.machine.size(); ++i) {
      node.machine.gpu(i).FunctionLevelReset().IgnoreError();
    }
    node.Mend(family, seen);
  }
}
