// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/pods.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr Duration kLimit = std::chrono::seconds(2);

}  // namespace

void Pods::ReadCheckpoint() {
  checkpoint_status_ = absl::OkStatus();
  const auto text = fs_.Read(checkpoint_);
  if (absl::IsNotFound(text.status())) {
    remembered_.clear();
    return;
  }
  auto parsed = text.ok() ? ParseCheckpoint(*text) : text.status();
  checkpoint_status_ = Annotate(parsed.status(), checkpoint_);
  // What was in it before still counts while it cannot be read.
  if (parsed.ok()) remembered_ = *std::move(parsed);
}

void Pods::Ask(TimePoint now) {
  assignments_ = ListAssignments(fs_.Resolve(socket_), kLimit);
  if (!assignments_.ok()) {
    KubeletChanged();
    return;
  }
  for (const auto& [device, users] : *assignments_) seen_[device] = now;
}

bool Pods::SeenSince(const std::string& resource, const std::string& id, TimePoint when) const {
  const auto seen = seen_.find({resource, id});
  return seen != seen_.end() && seen->second > when;
}

bool Pods::Has(const std::string& resource, const std::string& id) const {
  if (assignments_.ok() && assignments_->contains({resource, id})) return true;
  if (seen_.contains({resource, id})) return false;
  return std::ranges::any_of(remembered_, [&](const Remembered& one) {
    return one.resource == resource && std::ranges::find(one.ids, id) != one.ids.end();
  });
}

}  // namespace gpuhost::sandbox_device_plugin
