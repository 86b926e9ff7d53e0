// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/monitor.h"

#include <libudev.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost::pci {

void Monitor::Unref::operator()(udev* context) const { udev_unref(context); }
void Monitor::Unref::operator()(udev_monitor* monitor) const { udev_monitor_unref(monitor); }

absl::StatusOr<Monitor> Monitor::Open() {
  Monitor result;
  result.udev_.reset(udev_new());
  if (result.udev_) {
    result.monitor_.reset(udev_monitor_new_from_netlink(result.udev_.get(), "kernel"));
  }
  if (!result.monitor_) {
    return absl::UnavailableError("open a netlink socket for kernel uevents: libudev gave none");
  }
  for (const char* subsystem : {"pci", "vfio", "vfio-dev"}) {
    udev_monitor_filter_add_match_subsystem_devtype(result.monitor_.get(), subsystem, nullptr);
  }
  if (const int error = udev_monitor_enable_receiving(result.monitor_.get()); error < 0) {
    return ErrnoStatus(-error, "listen to kernel uevents");
  }
  return result;
}

int Monitor::fd() const { return udev_monitor_get_fd(monitor_.get()); }

bool Monitor::Drain() {
  bool any = false;
  errno = 0;
  while (udev_device* device = udev_monitor_receive_device(monitor_.get())) {
    udev_device_unref(device);
    any = true;
    errno = 0;
  }
  return any || errno == ENOBUFS;  // some were lost
}

}  // namespace gpuhost::pci
