// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/fsp_worker.h"

namespace gpuhost::vgpu {
namespace {

constexpr Duration kLate = std::chrono::seconds(6);

}  // namespace

Duration FspWorker::Between(int microseconds, int most) {
  return std::chrono::microseconds(std::uniform_int_distribution(microseconds, most)(random_));
}

void FspWorker::Take(std::vector<uint32_t> request, TimePoint taken) {
  request_ = std::move(request);
  answer_due_ = taken + (world_.has_fault(Fault::kLateAnswer) ? kLate : Between(100, 1500));
}

std::optional<std::vector<uint32_t>> FspWorker::Finish() {
  if (!answer_due_ || world_.clock.Now() < *answer_due_) return std::nullopt;
  answer_due_.reset();
  return firmware_.Answer(request_);
}

}  // namespace gpuhost::vgpu
