// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "daemons/cc-manager/options.h"
#include "daemons/cc-manager/our_node.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// Which mode is wanted: the node's label says it; without label, or without Kubernetes, the
// configuration does.
class Wish {
 public:
  // How long a node that has been made anew keeps the mode that was wanted before: its labels may
  // still be on their way, and nobody has asked for the default.
  static constexpr Duration kGrace = std::chrono::minutes(10);

  // `node`: nullptr without Kubernetes. `options.settings` change with the configuration.
  Wish(const HostFs& fs, Clock& clock, Options& options, OurNode* node);

  // kInvalidArgument: what is wanted is no mode. Other errors: it cannot be learned now.
  absl::StatusOr<cc::Mode> Mode();

  // Reads the configuration file again, where there is one. A file that cannot be used changes
  // nothing.
  void Reload();

 private:
  bool IsHeld(const kube::Node& node, const absl::StatusOr<cc::Mode>& wanted);

  Clock& clock_;
  Options& options_;
  OurNode* node_;
  absl::StatusOr<cc::Mode> fallback_;
  std::optional<cc::Mode> last_;  // wanted so far, or by an earlier process
  std::string uid_;               // of the node that it was wanted of
  TimePoint held_until_{};        // for a node of that uid
};

}  // namespace gpuhost::cc_manager
