// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "daemons/vfio-manager/options.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"
#include "libgpuhost/vfio/modules.h"
#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio_manager {

struct Deps {
  HostFs& fs;
  Clock& clock;
  vfio::LoadModule load_module;
};

struct DeviceOutcome {
  pci::Bdf bdf;
  absl::Status status;            // OK: bound (or unbound) as wanted
  std::vector<vfio::Step> steps;  // what was (to be) written
};

// The devices that `options` name. kInvalidArgument for an address that is none, kNotFound for one
// that is not there, kFailedPrecondition for one that is no GPU.
absl::StatusOr<std::vector<pci::Device>> SelectDevices(const HostFs& fs, const Options& options);

// One pass of bind or unbind over the selected devices, all in parallel; with options.dry_run only
// planned. Errors of the whole pass, before anything is written: kUnavailable no IOMMU, kNotFound
// no GPU (both: not on this machine), or the driver cannot be loaded.
absl::StatusOr<std::vector<DeviceOutcome>> Apply(Deps& deps, const Options& options);

}  // namespace gpuhost::vfio_manager
