// SPDX-License-Identifier: Apache-2.0
//
// The process dies between any two accesses to the hardware; the next run must converge.
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/execute.h"
#include "test/fake/mortal.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;

namespace {

std::vector<cc::Observation> Observe(fake::Machine& machine) {
  std::vector<cc::Observation> seen;
  for (size_t i = 0; i < machine.size(); ++i) {
    seen.push_back(cc::Observe(machine.host(), machine.DeviceOf(i)));
  }
  return seen;
}

// Changes the mode until the process dies after `accesses`; true when it came to its end before.
bool ChangeUntilDeath(fake::Machine& machine, Mode mode, int accesses) {
  const auto seen = Observe(machine);
  // Reading moves something in a mailbox only, and of one device it is tried.
  const bool pops = machine.gpu(0).board().name == "b200";
  fake::Life life(accesses, /*count_reads=*/pops);
  fake::MortalMachine mortal(machine, life);
  cc::ChangeMode(mortal.host(), seen, mode, {});
  return !life.WasEnded();
}

}  // namespace

TEST_CASE("a run after a crash at any access ends in the wanted mode on all GPUs") {
  struct Way {
    int gpus;
    std::string_view board;
    Mode crashed, wanted;
    Duration pause;  // until the next run
  };
  using std::chrono::seconds;
  const Way way = GENERATE(Way{2, "h100-pcie", Mode::kOn, Mode::kOn, seconds(5)},
                           Way{1, "h100-pcie", Mode::kOn, Mode::kOff, seconds(0)},
                           Way{1, "h100-pcie", Mode::kDevtools, Mode::kOn, seconds(5)},
                           Way{1, "b200", Mode::kOn, Mode::kOn, seconds(0)},
                           Way{1, "rtx-pro-6000", Mode::kDevtools, Mode::kOff, seconds(5)});
  int points = 0;
  for (bool finished = false; !finished; points += fake::kStride) {
    CAPTURE(way.board, points);
    REQUIRE(points < 5000);
    fake::Machine machine(way.gpus, way.board);
    finished = ChangeUntilDeath(machine, way.crashed, points);
    machine.clock.SleepFor(way.pause);

    const cc::Outcome outcome = cc::ChangeMode(machine.host(), Observe(machine), way.wanted, {});
    REQUIRE(Text(outcome.status).empty());
    for (size_t i = 0; i < machine.size(); ++i) {
      REQUIRE(machine.Effective(i) == cc::StateOf(way.wanted));
      REQUIRE(machine.gpu(i).knob(8) == (way.wanted == Mode::kOff ? 0 : 1));
    }
  }
  CHECK(points > 50);
}
