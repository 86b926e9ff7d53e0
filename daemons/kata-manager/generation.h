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
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemons/kata-manager/digest.h"
#include "daemons/kata-manager/tree.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// How one file or directory of a generation comes to be, under this name in it.
using Put = std::function<absl::Status(const Tree& tree, const std::string& name)>;

// Text of a part that has to know the generation's own directory and the files that are in it.
using Render = std::function<absl::StatusOr<std::string>(const std::string& directory,
                                                         const std::vector<std::string>& files)>;

// What a generation is made of. Two recipes of the same identity make the same.
struct Recipe {
  std::string identity;
  std::map<std::string, Put> parts;  // by name in its directory: "vmlinuz", "config.d/50-x.toml"
  std::vector<std::string> blobs;    // digests that are to be kept for it
  std::map<std::string, Render> texts;
  // SHA-256 of parts that are files, as their maker has promised it.
  std::map<std::string, std::string> promised;
  // Told how the making of it came out, as far as it was made.
  std::function<void(const absl::Status& made)> made = [](const absl::Status&) {};
  bool has_just_come = false;  // so a generation of before may have been made of bad files
  // While it lives nobody removes the blobs.
  std::shared_ptr<const void> hold;
};

struct Generation {
  int number = 0;
  std::string directory;
  std::string identity;
  std::vector<std::string> blobs;
  std::map<std::string, std::string> files;  // SHA-256 by name, as promised where it was
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
// changed. kDataLoss when the recipe has no configuration.toml, kFailedPrecondition when a part of
// it leads outside, kCancelled when this process is to end meanwhile.
absl::StatusOr<bool> Establish(HostFs& fs, const std::string& class_directory, const Recipe& recipe,
                               bool distrust = false, const Stopping& stopping = {});

// The generation before the current one: what StepBack would point to. kNotFound when there is
// none.
absl::StatusOr<Generation> Earlier(const HostFs& fs, const std::string& class_directory);

// Points `current` to the generation before the current one; its identity before that. kNotFound
// when there is none.
absl::StatusOr<std::string> StepBack(HostFs& fs, const std::string& class_directory);

// Whether all files are as they were promised. kDataLoss names the first that is not.
absl::Status VerifyGeneration(const HostFs& fs, const Generation& generation,
                              const Stopping& stopping = {});

}  // namespace gpuhost::kata_manager
