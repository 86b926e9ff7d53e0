// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace gpuhost::service {

// Tells the service manager something, by the protocol of sd_notify(3): "READY=1",
// "STATUS=all GPUs on", "STOPPING=1". Does nothing where $NOTIFY_SOCKET is not set (containers,
// command lines).
void Notify(std::string_view state);

}  // namespace gpuhost::service
