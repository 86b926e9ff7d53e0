// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/vfio-manager/manager.h"

namespace gpuhost::vfio_manager {

// `bind`, `unbind` and `uninstall_driver`: one pass, a line per unit. Returns the exit status.
int RunOnce(Deps& deps, const Options& options);

}  // namespace gpuhost::vfio_manager
