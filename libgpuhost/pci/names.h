// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace gpuhost::pci {

// The name of an NVIDIA device as pci.ids writes it, "GH100 [H100 PCIe]". Confidential-computing
// parts come from a table compiled in, so that resource names made of them never change with an
// upgrade of the operating system; all others from the system's pci.ids through libpci. Empty when
// neither knows the id.
std::string DeviceName(uint16_t device);

// The name for a person: the part in brackets ("H100 PCIe"), else the whole, else "10de:2331".
std::string ModelName(uint16_t device);

}  // namespace gpuhost::pci
