// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/drift.h"

#include <utility>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr size_t kMostRepairs = 3;
constexpr Duration kWithin = std::chrono::hours(1);

}  // namespace

bool Drift::IsChanged(const std::string& path, const Bytes& now) const {
  const auto left = left_.find(path);
  return left != left_.end() && left->second != now;
}

absl::Status Drift::Check(const std::string& path, const Bytes& now) {
  std::vector<TimePoint>& repairs = repairs_[path];
  std::erase_if(repairs, [&](TimePoint then) { return clock_->Now() - then > kWithin; });
  if (IsChanged(path, now) && repairs.size() >= kMostRepairs) given_up_.insert(path);
  if (!given_up_.contains(path)) return absl::OkStatus();
  return Error(absl::StatusCode::kAborted,
               "{} was put right {} times within an hour and changed by somebody else each time; "
               "it is left alone",
               path, kMostRepairs);
}

void Drift::Wrote(const std::string& path, const Bytes& before, const Bytes& after) {
  if (IsChanged(path, before)) {
    repairs_[path].push_back(clock_->Now());
    repaired_.push_back(path);
  }
  left_[path] = after;
}

void Drift::Forget() {
  repairs_.clear();
  given_up_.clear();
}

std::vector<std::string> Drift::TakeRepaired() { return std::exchange(repaired_, {}); }

}  // namespace gpuhost::kata_manager
