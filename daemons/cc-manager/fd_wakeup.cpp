// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/fd_wakeup.h"

#include "daemons/common/service/notify.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

absl::StatusOr<std::unique_ptr<FdWakeup>> FdWakeup::Open(std::string directory) {
  GPUHOST_ASSIGN(auto stop, service::StopSignal::Block());
  GPUHOST_ASSIGN(auto reload, service::ReloadSignal::Block());
  GPUHOST_ASSIGN(auto devices, pci::Monitor::Open());
  GPUHOST_ASSIGN(auto documents, service::DirectoryWatch::Open());
  return std::unique_ptr<FdWakeup>(new FdWakeup(std::move(stop), std::move(reload),
                                                std::move(devices), std::move(documents),
                                                std::move(directory)));
}

Woken FdWakeup::Wait(std::optional<Duration> limit) {
  // A directory that is not there yet has no documents; the next wait finds it.
  documents_.Watch(directory_).IgnoreError();
  busy_since_ = TimePoint::max();
  service::Notify({.watchdog = true});
  SystemClock clock;
  const TimePoint start = clock.Now();
  while (true) {
    const auto left = limit ? std::optional(*limit - (clock.Now() - start)) : std::nullopt;
    const auto readable =
        service::WaitReadable({stop_.fd(), reload_.fd(), devices_.fd(), documents_.fd(),
                               node_ ? node_->fd() : -1, hardware_ ? hardware_->ended_fd() : -1},
                              left);
    const Woken woken{
        .stop = readable[0], .devices = readable[2] || readable[5], .asked = readable[1]};
    if (readable[1]) {
      reload_.Drain();
      if (on_reload_) on_reload_();
    }
    devices_.Drain();
    if (node_ != nullptr) node_->Drain();
    // Documents of our own wake nobody.
    const bool documents = readable[3] && documents_.Drain("sandbox-device-plugin.json");
    const bool only_own =
        readable[3] && !documents && !woken.stop && !readable[1] && !woken.devices && !readable[4];
    if (only_own) continue;
    busy_since_ = clock.Now();
    return woken;
  }
}

Duration FdWakeup::Busy() const {
  const TimePoint since = busy_since_;
  return since == TimePoint::max() ? Duration::zero() : SystemClock().Now() - since;
}

}  // namespace gpuhost::cc_manager
