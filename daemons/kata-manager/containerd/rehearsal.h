// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemons/kata-manager/containerd/plan.h"

namespace gpuhost::kata_manager::containerd {

// The program of containerd, asked without effect on the one that runs.
struct Program {
  std::function<absl::StatusOr<std::string>()> version;  // containerd --version
  // containerd -c MAIN config dump: what it makes of that file and all its imports
  std::function<absl::StatusOr<std::string>(const std::string& main)> dump;
};

// The first program of `where` that is on the host, run with `host_root` as its root directory.
// kNotFound when there is none.
absl::StatusOr<Program> FindProgram(const HostFs& host, const Location& where,
                                    const std::string& host_root);

// What containerd makes of its files without ours. `scratch`: a directory that containerd sees
// under the same name; not left behind.
absl::StatusOr<Flat> DumpWithoutUs(HostFs& fs, const Program& program, const Observed& observed,
                                   const std::string& scratch);

// Has containerd read what the plan would make of its files, from copies in `scratch`, and
// compares. Whether it would run with other settings after a restart; errors are those of
// CheckEffect, and what containerd says about files that it does not take.
absl::StatusOr<bool> Rehearse(HostFs& fs, const Program& program, const Observed& observed,
                              const Plan& plan, const std::string& scratch);

}  // namespace gpuhost::kata_manager::containerd
