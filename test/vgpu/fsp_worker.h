// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <random>
#include <vector>

#include "test/vgpu/fsp_port.h"
#include "test/vgpu/knob_store.h"

namespace gpuhost::vgpu {

// The FSP's processor: works on one request at a time, and takes its time. Delays are of the size
// that silicon shows or less, and differ from request to request by seed.
class FspWorker {
 public:
  FspWorker(KnobStore& firmware, const FspWorld& world)
      : firmware_(firmware), world_(world), random_(world.seed) {}

  // When a request that is sent now will be taken, and when a mailbox has room for the next words.
  TimePoint TakeTime() { return world_.clock.Now() + Between(20, 200); }
  TimePoint CreditTime() { return world_.clock.Now() + Between(5, 60); }

  bool Busy() const { return answer_due_.has_value(); }
  // Takes a request that was due at `taken`.
  void Take(std::vector<uint32_t> request, TimePoint taken);
  // The answer, once it is due; empty when the firmware ignores the request.
  std::optional<std::vector<uint32_t>> Finish();
  void Reset() { answer_due_.reset(); }

 private:
  Duration Between(int microseconds, int most);

  KnobStore& firmware_;
  const FspWorld& world_;
  std::mt19937_64 random_;
  std::vector<uint32_t> request_;
  std::optional<TimePoint> answer_due_;
};

}  // namespace gpuhost::vgpu
