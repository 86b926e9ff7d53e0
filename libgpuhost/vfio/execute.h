// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <span>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/vfio/plan.h"

namespace gpuhost::vfio {

// Carries out the plan of one device: takes its lock, checks that every attribute of every step is
// there and writable before the first write, writes each in a child with a deadline, verifies that
// the driver link says what it should.
//
// On an error the device is given back: the earlier override, the earlier driver. kDeadlineExceeded
// means that the kernel did not return from a write: the device is stuck and is left as it is.
// kInternal when the write succeeded and the driver link does not agree.
absl::Status Execute(HostFs& fs, Clock& clock, const pci::Device& device,
                     std::span<const Step> steps);

}  // namespace gpuhost::vfio
