// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "daemons/kata-manager/artifacts/manifest.h"
#include "daemons/kata-manager/artifacts/registry.h"
#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/generation.h"

namespace gpuhost::kata_manager::artifacts {

// The text of a Kubernetes secret of type kubernetes.io/dockerconfigjson.
using ReadSecret = std::function<absl::StatusOr<std::string>(const std::string& name)>;

// Makes recipes of classes whose files come from a registry. What is in the store already is not
// asked for again: with a digest in the reference, nothing is. A tag is looked up once an hour.
class Fetcher {
 public:
  Fetcher(HostFs& fs, RegistryDeps deps, ReadSecret read_secret, FindSpace find_space = SpaceOf)
      : fs_(fs),
        deps_(std::move(deps)),
        read_secret_(std::move(read_secret)),
        find_space_(std::move(find_space)) {}

  // kFailedPrecondition for a tag where tags are not allowed, and a configuration that names files
  // which are not there; kInvalidArgument for what is no artefact of Kata; else as Registry has it.
  absl::StatusOr<Recipe> Fetch(const RuntimeClass& entry, const Config& config,
                               const std::string& artifacts_dir);

 private:
  struct Looked {
    std::string digest;
    TimePoint at;
  };
  absl::StatusOr<std::optional<Login>> LoginFor(const ArtifactSource& source,
                                                const Reference& reference);
  absl::StatusOr<std::string> ManifestBytes(Registry& registry, Store& store,
                                            const std::string& version);
  absl::Status FetchLayers(Registry& registry, Store& store, const Manifest& manifest);
  absl::StatusOr<Recipe> MakeRecipe(const RuntimeClass& entry, const Store& store,
                                    const Manifest& manifest, const std::string& digest);
  Store& StoreAt(const std::string& artifacts_dir);

  HostFs& fs_;
  RegistryDeps deps_;
  const ReadSecret read_secret_;
  const FindSpace find_space_;
  std::map<std::string, Store> stores_;   // by directory
  std::map<std::string, Looked> looked_;  // by reference with a tag
};

}  // namespace gpuhost::kata_manager::artifacts
