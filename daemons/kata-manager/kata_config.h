// SPDX-License-Identifier: Apache-2.0
//
// Kata's configuration of a class. The vendor's file stays as it came, byte for byte; what is to be
// different is in config.d beside it, which Kata's shims read after it, in the order of the names.
// Source: Kata Containers, docs/how-to/how-to-setup-kata-configuration-drop-ins and its shims.
#pragma once

#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/generation.h"

namespace gpuhost::kata_manager {

// The name of ours in config.d.
inline constexpr const char* kOverride = "config.d/50-gpuhost.toml";

// A table for each entry of `kata`, and in each table [hypervisor.x] of `vendor` that names a
// kernel, an image or an initrd the file of that name in `directory`: of several among `files` the
// one whose directories are most like the vendor's. kFailedPrecondition when there is none, or two
// are alike. `files` empty: those paths stay the vendor's.
absl::StatusOr<std::string> RenderOverride(
    const std::string& vendor,
    const std::map<std::string, std::map<std::string, std::string>>& kata,
    const std::vector<std::string>& files, const std::string& directory);

// A class that builds on an installed configuration: a copy of that, of what is in its config.d,
// and our changes. kNotFound when there is no such file.
absl::StatusOr<Recipe> RecipeFromInstalled(const HostFs& fs, const RuntimeClass& entry);

}  // namespace gpuhost::kata_manager
