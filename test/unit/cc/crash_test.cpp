// SPDX-License-Identifier: Apache-2.0
//
// The process dies between any two accesses to the hardware; the next run must converge.
#include <atomic>
#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/execute.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;

namespace {

// Counts down with every access; at zero the process is dead: nothing that it still does has any
// effect.
class Life {
 public:
  explicit Life(int accesses) : left_(accesses) {}
  bool Ended() { return left_.fetch_sub(1) <= 0; }
  bool WasEnded() const { return left_.load() < 0; }

 private:
  std::atomic<int> left_;
};

absl::Status Dead() { return absl::CancelledError("the process is dead"); }

class MortalRegisters : public gpu::Registers {
 public:
  MortalRegisters(std::unique_ptr<gpu::Registers> registers, Life& life)
      : registers_(std::move(registers)), life_(life) {}
  absl::StatusOr<uint32_t> Read32(uint32_t offset) override {
    if (life_.Ended()) return Dead();
    return registers_->Read32(offset);
  }
  absl::Status Write32(uint32_t offset, uint32_t value) override {
    if (life_.Ended()) return Dead();
    return registers_->Write32(offset, value);
  }

 private:
  std::unique_ptr<gpu::Registers> registers_;
  Life& life_;
};

// A machine as a mortal process sees it.
class MortalMachine : public gpu::RegisterSource {
 public:
  MortalMachine(fake::Machine& machine, Life& life) : machine_(machine), life_(life) {}
  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override {
    auto registers = machine_.Open(device, access);
    if (!registers.ok()) return registers.status();
    return std::make_unique<MortalRegisters>(*std::move(registers), life_);
  }

 private:
  fake::Machine& machine_;
  Life& life_;
};

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
  Life life(accesses);
  MortalMachine mortal(machine, life);
  // A reset that has begun in the kernel goes on; one that has not never begins.
  machine.kernel.FailWritesWhile([&life](const std::string&) { return life.Ended(); });
  const gpu::Host host{machine.kernel, machine.clock, mortal};
  cc::ChangeMode(host, seen, mode, {});
  machine.kernel.FailWritesWhile({});
  return !life.WasEnded();
}

}  // namespace

TEST_CASE("a run after a crash at any access ends in the wanted mode on all GPUs") {
  struct Way {
    Mode crashed, wanted;
  };
  const Way way = GENERATE(Way{Mode::kOn, Mode::kOn}, Way{Mode::kOn, Mode::kOff},
                           Way{Mode::kDevtools, Mode::kOn});
  int points = 0;
  for (bool finished = false; !finished; ++points) {
    CAPTURE(points);
    REQUIRE(points < 5000);
    fake::Machine machine(2);
    finished = ChangeUntilDeath(machine, way.crashed, points);
    machine.clock.SleepFor(std::chrono::seconds(5));

    const cc::Outcome outcome = cc::ChangeMode(machine.host(), Observe(machine), way.wanted, {});
    REQUIRE(Text(outcome.status).empty());
    for (size_t i = 0; i < machine.size(); ++i) {
      REQUIRE(machine.Effective(i) == cc::StateOf(way.wanted));
      REQUIRE(machine.gpu(i).knob(8) == (way.wanted == Mode::kOff ? 0 : 1));
    }
  }
  CHECK(points > 100);
}
