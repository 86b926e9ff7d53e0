// SPDX-License-Identifier: Apache-2.0
//
// Which service a process belongs to, from /proc/<pid>/cgroup. Pure.
// Source: cgroups(7), cgroup_namespaces(7); systemd, docs/CGROUP_DELEGATION.md.
#pragma once

#include <string>
#include <string_view>

namespace gpuhost::node {

// The unit ("containerd.service") in whose cgroup a process is, its own or one below it; "" when
// it is in none. `init` is /proc/1/cgroup, read by the same process: in a cgroup namespace both
// begin with "/../..". Everything above the unit must be a slice: what a user's own service manager
// or a container makes below its service or scope does not count, whatever it is called.
std::string UnitIn(std::string_view process, std::string_view init);

}  // namespace gpuhost::node
