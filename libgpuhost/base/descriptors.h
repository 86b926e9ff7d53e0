// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace gpuhost {

// Closes all descriptors of this process from `first` on but those of `keep`. For children right
// after fork: what they inherit would keep connections, listening sockets and other devices' locks
// for as long as they hang in the kernel. System calls only.
void CloseOthers(int first, std::span<const int> keep = {});

}  // namespace gpuhost
