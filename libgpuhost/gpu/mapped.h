// SPDX-License-Identifier: Apache-2.0
//
// Accesses to mapped registers that the kernel may take away at any moment: a driver that claims a
// BAR revokes the mappings of its sysfs file (CONFIG_IO_STRICT_DEVMEM), and the next access is a
// SIGBUS. Each access is guarded, rather than mapped anew: a mapping made for one exchange could be
// revoked in the middle of that exchange just as well.
#pragma once

#include <cstdint>

namespace gpuhost::gpu {

// Installs the process's handler of SIGBUS, once. One that comes from anywhere else is passed on to
// whoever handled it before.
void CatchBusErrors();

// One access, from any thread, after CatchBusErrors. False: the mapping has been taken away.
bool ReadMapped(const volatile uint32_t* address, uint32_t& value);
bool WriteMapped(volatile uint32_t* address, uint32_t value);

}  // namespace gpuhost::gpu
