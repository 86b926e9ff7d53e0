// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <optional>
#include <string>

#include "daemons/common/service/directory_watch.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/monitor.h"

namespace gpuhost::vfio_manager {

// Everything that can end the wait for another pass: the kernel's uevents of PCI devices,
// cc-manager's document, and the request to stop.
class Ears {
 public:
  using OpenWatch = std::function<absl::StatusOr<service::DirectoryWatch>()>;
  enum class Heard { kStop, kChange, kNothing };

  // `stop` is readable when it is time to stop. Fails where uevents cannot be heard. Where
  // documents cannot be followed (a node without a free inotify instance) that is logged, and Wait
  // comes back sooner instead.
  static absl::StatusOr<Ears> Open(const HostFs& fs, int stop,
                                   OpenWatch open_watch = &service::DirectoryWatch::Open);

  // Until something happened that a pass has to look at, or `limit` has passed.
  Heard Wait(Clock& clock, Duration limit);

 private:
  Ears(const HostFs& fs, int stop, pci::Monitor monitor, OpenWatch open_watch)
      : fs_(&fs), stop_(stop), monitor_(std::move(monitor)), open_watch_(std::move(open_watch)) {}
  // Call it before each pass: the directory may be another one.
  void FollowDocuments();

  const HostFs* fs_;
  int stop_;
  pci::Monitor monitor_;
  OpenWatch open_watch_;
  std::optional<service::DirectoryWatch> documents_;
  std::string deaf_;  // why documents are not followed
};

}  // namespace gpuhost::vfio_manager
