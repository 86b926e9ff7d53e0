// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/base/unique_fd.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

// Keeps devices from being given to a virtual machine while they are changed: their VFIO groups,
// held open. A group opens once, so no other process gets one, nor a device of it by its character
// device; and to open a group alone enables, resets and claims nothing. One hold of a group covers
// all of its functions. Source: vfio_group_fops_open in drivers/vfio (vfio_main.c of kernel 6.1,
// group.c of 6.12) and vfio_device_block_group (6.6 and later).
class Hold {
 public:
  // open(2) of a node below the file system's root, for reading: another one stands for a kernel.
  using Opener = std::function<absl::StatusOr<UniqueFd>(const HostFs& fs, const std::string& path)>;
  explicit Hold(Opener open = nullptr) : open_(std::move(open)) {}

  // Holds the group of `device`, which is on a VFIO driver, until Release. OK also when it is held
  // already. It is opened for reading, which the kernel takes for as much, so that a node that
  // belongs to another user is no obstacle.
  //   kFailedPrecondition  another process has the group open, or a device of it
  //   kNotFound            there is no such node: a kernel without groups (CONFIG_VFIO_GROUP=n),
  //                        where only the opening of a device itself would keep others out, which
  //                        resets it; or /dev is not the host's
  //   others               the node cannot be opened: the errno
  absl::Status Take(const HostFs& fs, const pci::Device& device);
  void Release() { groups_.clear(); }

 private:
  Opener open_;
  std::map<uint32_t, UniqueFd> groups_;
};

// Whether somebody works with a device on a VFIO driver, also a process that cannot be seen from
// here: VFIO enables a device when it is opened and disables it when it is closed, and the kernel
// counts that in the attribute `enable`. Who has opened no more than the group is not counted.
// kNotFound and other errors of the attribute: unknown.
// Source: vfio_pci_core_enable and vfio_pci_core_disable, the same in kernels 5.15 to 6.12.
absl::StatusOr<bool> IsEnabled(const HostFs& fs, const pci::Device& device);

}  // namespace gpuhost::vfio
