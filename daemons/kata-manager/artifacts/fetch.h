// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>

#include "daemons/kata-manager/artifacts/manifest.h"
#include "daemons/kata-manager/artifacts/registry.h"
#include "daemons/kata-manager/artifacts/setbacks.h"
#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/generation.h"

namespace gpuhost::kata_manager::artifacts {

// The text of a Kubernetes secret of type kubernetes.io/dockerconfigjson.
using ReadSecret = std::function<absl::StatusOr<std::string>(const std::string& name)>;

// Makes recipes of classes whose files come from a registry. What is in the store already is not
// asked for again: with a digest in the reference, nothing is. A tag is looked up once an hour.
// Recipes keep what removes blobs away, and are not to outlive this object. Fetch is for one
// thread, and FetchLocal for another one beside it.
class Fetcher {
 public:
  Fetcher(HostFs& fs, RegistryDeps deps, ReadSecret read_secret, FindSpace find_space = SpaceOf)
      : fs_(fs),
        deps_(std::move(deps)),
        read_secret_(std::move(read_secret)),
        find_space_(std::move(find_space)),
        setbacks_(deps_.clock) {}

  // kFailedPrecondition for a tag where tags are not allowed, and a configuration that names files
  // which are not there; kInvalidArgument for what is no artefact of Kata; else as Registry has it.
  // What cannot be used, or has filled the disk, is not tried again at once: see Setbacks.
  absl::StatusOr<Recipe> Fetch(const RuntimeClass& entry, const Config& config,
                               const std::string& artifacts_dir);
  // The same of what is here, without the network; kUnavailable when something has to be fetched.
  absl::StatusOr<Recipe> FetchLocal(const RuntimeClass& entry, const Config& config,
                                    const std::string& artifacts_dir);

 private:
  struct Looked {
    std::string digest;
    TimePoint at;
  };
  struct Job;  // one artefact on its way
  absl::StatusOr<Recipe> FetchWith(kube::HttpClient& http, const RuntimeClass& entry,
                                   const Config& config, const std::string& artifacts_dir);
  absl::StatusOr<FoundLogin> LoginFor(const ArtifactSource& source, const Reference& reference);
  absl::StatusOr<RegistrySettings> SettingsFrom(const Config& config) const;
  absl::StatusOr<std::string> ManifestBytes(Registry& registry, Store& store,
                                            const std::string& version);
  absl::StatusOr<bool> FetchLayers(Registry& registry, const Job& job, const Manifest& manifest);
  absl::StatusOr<Recipe> MakeRecipe(const Job& job, const Manifest& manifest);
  Put UnpackAs(const Job& job, const Layer& layer, std::shared_ptr<uint64_t> left);
  Store& StoreAt(const std::string& artifacts_dir);
  std::string VersionOf(const std::string& url, const Reference& reference);

  HostFs& fs_;
  RegistryDeps deps_;
  const ReadSecret read_secret_;
  const FindSpace find_space_;
  std::mutex mutex_;                      // of the two
  std::map<std::string, Store> stores_;   // by directory
  std::map<std::string, Looked> looked_;  // by reference with a tag
  Setbacks setbacks_;
};

}  // namespace gpuhost::kata_manager::artifacts
