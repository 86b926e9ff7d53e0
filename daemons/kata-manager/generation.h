// SPDX-License-Identifier: Apache-2.0
//
// What a class runs with, as directories that never change:
//   <artifactsDir>/classes/<class>/gen-<n>/   configuration.toml, config.d/, kernel, image
//   <artifactsDir>/classes/<class>/current -> gen-<n>
// containerd names current/configuration.toml, and each new shim follows the link. So another
// generation needs no restart, and guests that run keep the files of theirs.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// How one file or directory of a generation comes to be, at this path.
using Put = std::function<absl::Status(HostFs& fs, const std::string& path)>;

// What a generation is made of. Two recipes of the same identity make the same.
struct Recipe {
  std::string identity;
  std::map<std::string, Put> parts;  // by name in its directory: "vmlinuz", "config.d/50-x.toml"
  std::vector<std::string> blobs;    // digests that are to be kept for it
  // Text of a part that has to know the generation's own directory.
  std::map<std::string, std::function<std::string(const std::string& directory)>> texts;
};

struct Generation {
  int number = 0;
  std::string directory;
  std::string identity;
  std::vector<std::string> blobs;
  std::map<std::string, std::string> files;  // SHA-256 by name
};

std::string ClassDirectory(const std::string& artifacts_dir, const std::string& name);
// What containerd is to be told.
std::string ConfigPath(const std::string& artifacts_dir, const std::string& name);

// The complete generations of a class, the oldest first; and the one that current points to.
std::vector<Generation> Generations(const HostFs& fs, const std::string& class_directory);
std::optional<Generation> Current(const HostFs& fs, const std::string& class_directory);

// Makes the class run with this recipe: with a generation that is there already, or a new one,
// which is complete on the disk before `current` points to it. With `distrust` the files of one
// that is there are read, and one that is not as it was made is made anew. True when current has
// changed. kDataLoss when the recipe has no configuration.toml.
absl::StatusOr<bool> Establish(HostFs& fs, const std::string& class_directory, const Recipe& recipe,
                               bool distrust = false);

// Points `current` to the generation before the current one; its identity before that. kNotFound
// when there is none.
absl::StatusOr<std::string> StepBack(HostFs& fs, const std::string& class_directory);

// Whether all files are as they were put there. kDataLoss names the first that is not.
absl::Status VerifyGeneration(const HostFs& fs, const Generation& generation);

}  // namespace gpuhost::kata_manager
