// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "daemons/vfio-manager/options.h"
#include "daemons/vfio-manager/retries.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/execute.h"
#include "libgpuhost/vfio/modules.h"
#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio_manager {

struct Deps {
  HostFs& fs;
  Clock& clock;
  vfio::LoadModule load_module;
};

struct UnitOutcome {
  vfio::Unit unit;      // as planned
  absl::Status status;  // OK: as wanted, or left alone for the reason in unit.note
};

// What the command line and cc-manager's document ask for. kInvalidArgument for an address or a
// pattern that is none.
absl::StatusOr<vfio::Request> MakeRequest(const HostFs& fs, const Options& options);

// One pass: observes, plans, loads the modules that are needed, and carries out all units in
// parallel, but for the moment in which they are bound: that goes by address. One that fails or
// hangs does not keep the others. With `dry_run` only planned. With `retries` those that failed
// before are left alone until their time has come. Errors of the whole pass, before anything is
// written: kUnavailable no IOMMU, kNotFound no GPU (both: not on this machine).
absl::StatusOr<std::vector<UnitOutcome>> Apply(Deps& deps, const vfio::Request& request,
                                               vfio::Conduct conduct, bool dry_run,
                                               Retries* retries = nullptr);

}  // namespace gpuhost::vfio_manager
