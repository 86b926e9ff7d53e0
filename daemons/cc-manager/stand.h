// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/cc-manager/hardware.h"

namespace gpuhost::cc_manager {

enum class Phase {
  kStarting,     // nothing is known yet, nothing is shown
  kWaiting,      // somebody uses GPUs, or somebody else has to do something first
  kWithdrawing,  // the neighbours are asked to leave the GPUs alone
  kArming,
  kResetting,
  kSteady,  // every device is in the mode
  kFailed,
};
std::string_view ToString(Phase phase);

// Where a node stands, for everybody who looks: node labels, status document, log, metrics.
struct Stand {
  Phase phase = Phase::kStarting;
  std::optional<cc::Mode> mode;  // wanted; in kSteady: reached. Empty: nobody could say
  std::string transition;        // name of the change under way; empty: none
  bool paused = false;           // operands that are not ours are to stay away
  std::string reason;            // for whom or for what it waits, or what failed, with the remedy
  bool reset = false;            // devices have been reset by the change that ended here
  bool no_gpus = false;          // there is nothing to switch
  std::optional<bool> capable;   // the node could be in mode on; empty: nobody wants to know
  std::vector<DeviceView> devices;
  std::map<pci::Bdf, std::string> unusable;  // why nobody may be given these, see unusable.h
};

// A change has begun and has not ended: devices are withdrawn from those who might want them.
bool InChange(const Stand& stand);

}  // namespace gpuhost::cc_manager
