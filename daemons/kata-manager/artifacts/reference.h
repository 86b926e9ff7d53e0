// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace gpuhost::kata_manager::artifacts {

// "host[:port]/repository[:tag][@sha256:<64 digits>]". No host is added to one without.
// Source: OCI Distribution Specification 1.1, and the grammar of container references.
struct Reference {
  std::string host;        // with port, if one was given
  std::string repository;  // "nvidia/cloud-native/kata-gpu-artifacts"
  std::string tag;         // empty: none
  std::string digest;      // "sha256:..."; empty: none

  // How the registry is asked for it: the digest wins.
  const std::string& Version() const { return digest.empty() ? tag : digest; }
};

// kInvalidArgument says which part is wrong.
absl::StatusOr<Reference> ParseReference(const std::string& text);

// Whether it is "sha256:" and 64 hexadecimal digits in lower case.
bool IsDigest(const std::string& text);

}  // namespace gpuhost::kata_manager::artifacts
