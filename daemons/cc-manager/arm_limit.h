// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <map>
#include <span>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/pci/bdf.h"

namespace gpuhost::cc_manager {

// How often devices may be armed: a knob is a write to memory that wears out, and who asks for
// changes may be an API side that somebody else has taken over. Each device has 32 changes at once
// and gets one more every three minutes: more than any administrator, controller or retry wants,
// and less than 500 a day.
class ArmLimit {
 public:
  // Counts one more change of all of `devices`, or of none: kResourceExhausted when one of them has
  // had too many, with the time after which it may be tried again.
  absl::Status Count(TimePoint now, std::span<const pci::Bdf> devices);

 private:
  // When what a device has spent will have come back; missing: it has spent nothing.
  std::map<pci::Bdf, TimePoint> whole_again_;
};

}  // namespace gpuhost::cc_manager
