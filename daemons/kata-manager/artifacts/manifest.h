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
  std::string title;           // its name among the files of the artefact; empty: it is none
  bool unpack = false;         // an archive that becomes a directory of that name
  std::string content_digest;  // of the archive without its compression, 64 digits; empty: not said
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
// digests, number and names of its files, of which none may be a directory of another one.
// `largest`: bytes of all layers together. Source: OCI Image Specification 1.1, manifest.md; names
// and archives as ORAS marks them.
absl::StatusOr<Manifest> ParseManifest(const std::string& json,
                                       uint64_t largest = uint64_t{64} << 30);

// For an index: the digest of the manifest for Linux on `architecture` ("amd64"); empty when `json`
// is no index. kNotFound when it has none, kFailedPrecondition when several fit.
absl::StatusOr<std::optional<std::string>> ChooseFromIndex(const std::string& json,
                                                           const std::string& architecture);

// OK for a relative path of up to 1024 bytes, in UTF-8, without "..", control characters and parts
// longer than 255 bytes.
absl::Status CheckPath(const std::string& path);
// The same for a file of the artefact, which may not have one of the names that are ours.
absl::Status CheckTitle(const std::string& title);

}  // namespace gpuhost::kata_manager::artifacts
