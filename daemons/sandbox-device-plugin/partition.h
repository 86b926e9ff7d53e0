// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/inventory.h"

namespace gpuhost::sandbox_device_plugin {

// GPUs that NVSwitches connect with one another for a virtual machine that has all of them and no
// others: a partition of Fabric Manager's. Source: Fabric Manager User Guide, "Shared NVSwitch
// Virtualization Model".
using Partition = std::vector<pci::Bdf>;
using Partitions = std::vector<Partition>;

// The ids of the partition of exactly `size` units that has all `required` ones and nothing but
// `allowed` ones (which include them); of several the one that leaves the largest others whole, the
// first of equals. Empty when there is none.
std::vector<std::string> ChoosePartition(const Partitions& partitions,
                                         const std::vector<Unit>& units,
                                         const std::set<std::string>& allowed,
                                         const std::set<std::string>& required, size_t size);

}  // namespace gpuhost::sandbox_device_plugin
