// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace gpuhost::pci {

// The name of an NVIDIA device as pci.ids writes it, "GH100 [H100 PCIe]". Confidential-computing
// parts come from a table compiled in, so that resource names made of them never change with an
// upgrade of the operating system; all others through libpci from the file `pci_ids`, or the
// system's where that is empty. Empty when neither knows the id. The file may have anything in it.
std::string DeviceName(uint16_t device, const std::string& pci_ids = "");

// The name for a person: the part in brackets ("H100 PCIe"), else the whole, else "10de:2331".
std::string ModelName(uint16_t device);

}  // namespace gpuhost::pci
