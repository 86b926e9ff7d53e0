// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <vector>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

// The word of the driver nvidia that nobody uses a GPU, in the kernel neither (a console by
// nvidia_drm, nvidia_peermem, persistence mode): it gives its "unbind lock" to who asks, unless the
// GPU is in use, when an unbind would wait for ever. Given back when the object goes, of those that
// are still with the driver.
// Source: open-gpu-kernel-modules, kernel-open/nvidia/nv-procfs.c (unbindLock).
class UnbindLock {
 public:
  explicit UnbindLock(HostFs& fs) : fs_(fs) {}
  UnbindLock(const UnbindLock&) = delete;
  UnbindLock& operator=(const UnbindLock&) = delete;
  ~UnbindLock();

  // OK also where the device is not nvidia's, or the driver has no such lock.
  // kFailedPrecondition: it is in use, and by whom, as far as that can be told.
  absl::Status Take(const pci::Device& device);

 private:
  HostFs& fs_;
  std::vector<pci::Device> taken_;
};

}  // namespace gpuhost::vfio
