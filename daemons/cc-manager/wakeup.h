// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "libgpuhost/base/clock.h"

namespace gpuhost::cc_manager {

// Why a wait ended. All false: its time was over, or something changed that needs another look.
struct Woken {
  bool stop = false;     // the process is to end
  bool devices = false;  // PCI devices came, went or changed drivers
  bool asked = false;    // somebody wants another try, by hand
};

// The only way in which cc-manager waits, so that whatever happens meanwhile is seen.
class Wakeup {
 public:
  virtual ~Wakeup() = default;
  // Until something happens, at most for `limit`; without limit for ever. Once `stop` has been
  // said, every wait ends at once with it.
  virtual Woken Wait(std::optional<Duration> limit) = 0;
};

}  // namespace gpuhost::cc_manager
