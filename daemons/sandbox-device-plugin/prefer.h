// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "daemons/sandbox-device-plugin/inventory.h"
#include "daemons/sandbox-device-plugin/partition.h"

namespace gpuhost::sandbox_device_plugin {

// Which `size` of `available` go well together, with `required` among them. First a partition of
// exactly that size; else those that share the most of the way to the processor (PCIe switch, then
// root port, then NUMA node), and of equally good choices the one from the fullest use of what is
// broken already, so that whole switches and nodes stay free for larger requests. Ids of
// `available` that are not among `units` are taken last. Never fails, for the kubelet would refuse
// the pod: what cannot be met is met as far as it can. Only ids of `available` and `required`, none
// twice, and the same for the same question.
std::vector<std::string> Prefer(const std::vector<Unit>& units,
                                const std::vector<std::string>& available,
                                const std::vector<std::string>& required, int size,
                                const Partitions& partitions = {});

}  // namespace gpuhost::sandbox_device_plugin
