// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/setbacks.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr Duration kFirst = std::chrono::minutes(5);
constexpr Duration kLast = std::chrono::hours(6);

}  // namespace

Setbacks::Setback* Setbacks::Find(const RuntimeClass& entry, const Config& config,
                                  const std::string& digest) {
  const auto found = by_class_.find(entry.name);
  const bool same = found != by_class_.end() && found->second.digest == digest &&
                    found->second.entry == entry && found->second.config == config;
  return same ? &found->second : nullptr;
}

absl::Status Setbacks::Check(const RuntimeClass& entry, const Config& config,
                             const std::string& digest) {
  const std::lock_guard lock(mutex_);
  const Setback* last = Find(entry, config, digest);
  if (last == nullptr || (!last->for_good && clock_.Now() >= last->until)) {
    return absl::OkStatus();
  }
  return absl::Status(last->status.code(),
                      fmt::format("{}; it is tried again {}when the artefact or the configuration "
                                  "is another one",
                                  Text(last->status), last->for_good ? "" : "after a while, or "));
}

void Setbacks::Tell(const RuntimeClass& entry, const Config& config, const std::string& digest,
                    const absl::Status& status, bool for_good) {
  if (absl::IsCancelled(status)) return;
  const std::lock_guard lock(mutex_);
  const Setback* last = Find(entry, config, digest);
  if (status.ok()) {
    by_class_.erase(entry.name);
    return;
  }
  const Duration pause = last == nullptr ? kFirst : std::min(2 * last->pause, kLast);
  by_class_.insert_or_assign(
      entry.name, Setback{entry, config, digest, status, for_good, pause, clock_.Now() + pause});
}

}  // namespace gpuhost::kata_manager::artifacts
