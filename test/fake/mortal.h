// SPDX-License-Identifier: Apache-2.0
//
// A process that dies in the middle of its work, inside the test process: from one access on,
// nothing that it still does has any effect. What it finds then is errors, so it comes to its end
// soon.
#pragma once

#include <atomic>

#include "test/fake/machine.h"

namespace gpuhost::fake {

// Which of the points at which a process may die are tried: all, but under AddressSanitizer, which
// makes each take ten times as long, a sample of them.
#ifdef __SANITIZE_ADDRESS__
inline constexpr int kStride = 13;
#else
inline constexpr int kStride = 1;
#endif

// Counts down with every access, or with every one that has an effect; at zero the process is dead.
// A death before a read differs from one before the next write only where reading moves something,
// as it does in a GPU's queues.
class Life {
 public:
  explicit Life(int accesses, bool count_reads = true)
      : count_reads_(count_reads), left_(accesses) {}
  bool Ended() { return left_.fetch_sub(1) <= 0; }
  bool EndedAtRead() { return (count_reads_ || left_.load() <= 0) && Ended(); }
  bool WasEnded() const { return left_.load() < 0; }

 private:
  const bool count_reads_;
  std::atomic<int> left_;
};

absl::Status Dead();

// A machine as a mortal process sees it. Its writes to files and attributes die too, until this is
// gone; a reset that has begun in the kernel goes on, one that has not never begins.
class MortalMachine : public gpu::RegisterSource {
 public:
  MortalMachine(Machine& machine, Life& life);
  ~MortalMachine() override;
  absl::StatusOr<std::unique_ptr<gpu::Registers>> Open(const pci::Device& device,
                                                       gpu::Access access) override;
  gpu::Host host() { return {machine_.kernel, machine_.clock, *this}; }

 private:
  Machine& machine_;
  Life& life_;
};

}  // namespace gpuhost::fake
