// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/probe.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// The machine at one moment.
struct Observation {
  std::vector<pci::Device> devices;  // GPUs and switches, on whatever driver
  Inventory inventory;
  std::map<std::string, Problem> problems;  // by id of a unit
};

class Observer {
 public:
  Observer(const HostFs& fs, Clock& clock) : fs_(fs), clock_(clock) {}

  // Reads everything anew. `withdrawn` (addresses) are being reset by somebody else.
  absl::StatusOr<Observation> Observe(const Rules& rules, const std::set<std::string>& withdrawn);

 private:
  const HostFs& fs_;
  Clock& clock_;
  Probe probe_;
};

}  // namespace gpuhost::sandbox_device_plugin
