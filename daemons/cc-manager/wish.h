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
  // Of the node `host` is looked at now, and not again; the configuration file is read by `own`.
  // `node`: nullptr without Kubernetes. `options.settings` change with the configuration.
  Wish(const HostFs& host, const HostFs& own, Options& options, OurNode* node);

  // kInvalidArgument: what is wanted is no mode. Other errors: it cannot be learned now.
  absl::StatusOr<cc::Mode> Mode();

  // Reads the configuration file again, where there is one. A file that cannot be used changes
  // nothing.
  void Reload();

 private:
  const HostFs& own_;
  Options& options_;
  OurNode* node_;
  absl::StatusOr<cc::Mode> fallback_;
};

}  // namespace gpuhost::cc_manager
