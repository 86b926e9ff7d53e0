// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpuhost::kata_manager::artifacts {

struct Layer {
  std::string digest;  // "sha256:..."
  uint64_t size = 0;
  std::string title;    // its name among the files of the artefact; empty: it is none
  bool unpack = false;  // an archive that becomes a directory of that name
};

struct Manifest {
  std::vector<Layer> layers;
};

// What the registry is asked for.
inline constexpr const char* kManifestTypes =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

// kInvalidArgument when it is no manifest of an artefact that can be put on a disk safely: sizes,
// digests, number and names of its files. Source: OCI Image Specification 1.1, manifest.md; names
// and archives as ORAS marks them.
absl::StatusOr<Manifest> ParseManifest(const std::string& json);

// For an index: the digest of the manifest for Linux on `architecture` ("amd64"); empty when `json`
// is no index. kNotFound when it has none, kFailedPrecondition when several fit.
absl::StatusOr<std::optional<std::string>> ChooseFromIndex(const std::string& json,
                                                           const std::string& architecture);

// OK for a relative path of up to 255 bytes without "..", hidden tricks and the names that are
// ours.
absl::Status CheckTitle(const std::string& title);

}  // namespace gpuhost::kata_manager::artifacts
