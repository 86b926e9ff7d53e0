// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/cc-manager/hardware.h"

namespace gpuhost::cc_manager {

// Answers the requests of the peer of `socket` (see hardware_messages.h), one after the other,
// until it is gone: OK. kDataLoss when it says something that is no request. What is armed then is
// disarmed by the destruction of `hardware`; a step that runs is finished first.
absl::Status Serve(Hardware& hardware, int socket);

}  // namespace gpuhost::cc_manager
