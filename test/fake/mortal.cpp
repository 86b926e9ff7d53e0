// SPDX-License-Identifier: Apache-2.0
#include "test/fake/mortal.h"

namespace gpuhost::fake {
namespace {

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

}  // namespace

absl::Status Dead() { return absl::CancelledError("the process is dead"); }

MortalMachine::MortalMachine(Machine& machine, Life& life) : machine_(machine), life_(life) {
  machine_.kernel.FailWritesWhile([&life](const std::string&) { return life.Ended(); });
}

MortalMachine::~MortalMachine() { machine_.kernel.FailWritesWhile({}); }

absl::StatusOr<std::unique_ptr<gpu::Registers>> MortalMachine::Open(const pci::Device& device,
                                                                    gpu::Access access) {
  auto registers = machine_.Open(device, access);
  if (!registers.ok()) return registers.status();
  return std::make_unique<MortalRegisters>(*std::move(registers), life_);
}

}  // namespace gpuhost::fake
