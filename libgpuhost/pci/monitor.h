// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>

struct udev;
struct udev_monitor;

namespace gpuhost::pci {

// Tells that something changed among PCI and VFIO devices: added, removed, bound, unbound. It says
// no more than that, since whoever waits reads everything again. Listens to the kernel's own
// uevents (not udevd's), so it works in containers.
class Monitor {
 public:
  // The errno of the netlink socket; kUnavailable when libudev gives none.
  static absl::StatusOr<Monitor> Open();

  // Becomes readable (poll(2)) when there are changes.
  int fd() const;
  // Takes all waiting changes; true when there was one.
  bool Drain();

 private:
  struct Unref {
    void operator()(udev* context) const;
    void operator()(udev_monitor* monitor) const;
  };
  std::unique_ptr<udev, Unref> udev_;
  std::unique_ptr<udev_monitor, Unref> monitor_;
};

}  // namespace gpuhost::pci
