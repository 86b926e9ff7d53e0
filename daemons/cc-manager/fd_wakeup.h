// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "daemons/cc-manager/hardware_process.h"
#include "daemons/cc-manager/our_node.h"
#include "daemons/cc-manager/wakeup.h"
#include "daemons/common/service/directory_watch.h"
#include "daemons/common/service/signals.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::cc_manager {

// What wakes the program: signals, its node in Kubernetes, PCI devices, status documents of others.
class FdWakeup : public Wakeup {
 public:
  // Blocks SIGTERM, SIGINT and SIGHUP; call before the first thread starts. `directory`: where
  // status documents are, as this process names it.
  static absl::StatusOr<std::unique_ptr<FdWakeup>> Open(std::string directory);
  // From now on also changes of the node; it must outlive this.
  void Watch(OurNode& node) { node_ = &node; }
  // And of the end of the hardware side, as one of devices: what it had done has to be looked at.
  void Watch(const HardwareProcess& hardware) { hardware_ = &hardware; }
  // Called in a wait when SIGHUP has come; the wait ends then.
  void OnReload(std::function<void()> reload) { on_reload_ = std::move(reload); }

  Woken Wait(std::optional<Duration> limit) override;
  // Readable once the program has been told to end.
  int stop_fd() const { return stop_.fd(); }
  // How long the program has not been waiting for anything; may be asked by other threads. A change
  // takes minutes at worst.
  Duration Busy() const;

 private:
  FdWakeup(service::StopSignal stop, service::ReloadSignal reload, pci::Monitor devices,
           service::DirectoryWatch documents, std::string directory)
      : stop_(std::move(stop)),
        reload_(std::move(reload)),
        devices_(std::move(devices)),
        documents_(std::move(documents)),
        directory_(std::move(directory)) {}

  service::StopSignal stop_;
  service::ReloadSignal reload_;
  pci::Monitor devices_;
  service::DirectoryWatch documents_;
  std::string directory_;
  OurNode* node_ = nullptr;
  const HardwareProcess* hardware_ = nullptr;
  std::function<void()> on_reload_;
  std::atomic<TimePoint> busy_since_ = TimePoint::max();  // max: waiting
};

}  // namespace gpuhost::cc_manager
