// SPDX-License-Identifier: Apache-2.0
//
// What NVIDIA's k8s-kata-manager leaves on a node: it removes neither its artefacts nor its CDI
// file, and a pod of it that was killed leaves handlers and its pid file, too. Nothing of it is
// taken away without being asked for.
#pragma once

#include "daemons/kata-manager/manager.h"

namespace gpuhost::kata_manager {

inline constexpr const char* kLegacyDirectory = "/opt/nvidia-gpu-operator/artifacts/runtimeclasses";
inline constexpr const char* kLegacyProgram = "k8s-kata-manager";

struct Legacy {
  std::vector<std::string> handlers;     // in the main file, with artefacts of its
  std::vector<std::string> files;        // its pid file, whose process is gone; its CDI file
  std::vector<std::string> directories;  // artefacts of a class, each
  bool runs = false;

  bool IsEmpty() const { return handlers.empty() && files.empty() && directories.empty(); }
};

// Reads the main file of the container runtime and asks nothing of it. What is ours is never
// counted, also where this program has taken the place of that one and its directory. The errors of
// Locate, and kInvalidArgument when the main file is no TOML.
absl::StatusOr<Legacy> FindLegacy(const Deps& deps, const Options& options, const Config& config);

// A line for each thing, for a person.
std::vector<std::string> DescribeLegacy(const Legacy& legacy);

// What UninstallLegacy would do: the difference of the main file, what becomes of containerd, and
// the files that go. Empty: there is nothing.
absl::StatusOr<std::string> DescribeLegacyPlan(Deps& deps, const Options& options,
                                               const Config& config);

// Takes it away: the handlers, rehearsed and with a restart as every change of those files, and
// when they are gone the files. Nothing is done while that program runs, for it would write them
// anew; nor while sandboxes run with its handlers or artefacts.
Report UninstallLegacy(Deps& deps, const Options& options, const Config& config);

}  // namespace gpuhost::kata_manager
