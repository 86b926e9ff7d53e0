// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/ears.h"

#include <algorithm>

#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {
namespace {

constexpr Duration kSettle = std::chrono::milliseconds(50);  // uevents come in bursts
constexpr Duration kUnfollowed = std::chrono::seconds(10);   // between looks at documents
constexpr int kNoFd = -1;                                    // which poll(2) passes over

}  // namespace

absl::StatusOr<Ears> Ears::Open(const HostFs& fs, int stop, OpenWatch open_watch) {
  GPUHOST_ASSIGN(auto monitor, pci::Monitor::Open());
  Ears ears(fs, stop, std::move(monitor), std::move(open_watch));
  ears.FollowDocuments();
  return ears;
}

void Ears::FollowDocuments() {
  absl::Status status;
  if (!documents_) {
    auto opened = open_watch_();
    if (opened.ok()) documents_ = *std::move(opened);
    status = opened.status();
  }
  if (documents_) status = documents_->Watch(fs_->Resolve(service::kStatusDirectory));
  if (!status.ok() && deaf_ != Text(status)) {
    service::Log(service::Level::kWarning, "cannot follow cc-manager; looking every ten seconds",
                 {{"error", status}});
  }
  deaf_ = Text(status);
}

Ears::Heard Ears::Wait(Clock& clock, Duration limit) {
  const TimePoint deadline = clock.Now() + (deaf_.empty() ? limit : std::min(limit, kUnfollowed));
  while (true) {
    const auto readable =
        service::WaitReadable({stop_, monitor_.fd(), documents_ ? documents_->fd() : kNoFd},
                              std::max(deadline - clock.Now(), Duration::zero()));
    if (readable[0]) return Heard::kStop;
    if (readable[1]) service::WaitReadable({stop_}, kSettle);
    const bool devices = readable[1] && monitor_.Drain();
    const bool mode = readable[2] && documents_ && documents_->Drain("cc-manager.json");
    if (!devices && !mode && clock.Now() < deadline) continue;
    FollowDocuments();
    return devices || mode ? Heard::kChange : Heard::kNothing;
  }
}

}  // namespace gpuhost::vfio_manager
