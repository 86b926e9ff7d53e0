// SPDX-License-Identifier: Apache-2.0
//
// Whether a device on VFIO could be used, found out without disturbing a virtual machine that has
// it: from sysfs, and from one read of configuration space.
#pragma once

#include <map>
#include <optional>

#include "daemons/sandbox-device-plugin/health.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::sandbox_device_plugin {

class Probe {
 public:
  // Configuration space is read so often at most.
  static constexpr Duration kConfigInterval = std::chrono::seconds(10);

  // What is wrong with `device`, opened by `backend`, at `now`; kNone when nothing is. With
  // `hands_off` (it is being reset) its configuration space is not read, and what was known of it
  // before says nothing.
  Problem Examine(const HostFs& fs, const pci::Device& device, Backend backend, TimePoint now,
                  bool hands_off);

  // Forgets devices that are not among `present`: bound again, they start afresh.
  void Retain(const std::vector<pci::Device>& present);

 private:
  struct Memory {
    std::optional<TimePoint> config_read;
    bool answers = true;
    std::optional<uint64_t> fatal_errors;  // when it was first seen
  };
  bool Answers(const HostFs& fs, const pci::Device& device, TimePoint now, bool hands_off);
  bool HadFatalError(const HostFs& fs, const pci::Device& device);

  std::map<pci::Bdf, Memory> memory_;
};

}  // namespace gpuhost::sandbox_device_plugin
