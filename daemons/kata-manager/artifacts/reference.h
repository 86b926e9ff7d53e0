// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace gpuhost::kata_manager::artifacts {

// "host[:port]/repository[:tag][@sha256:<64 digits>]". No host is added to one without. The names
// of Docker Hub mean its one registry, and there a repository of one word is below library/.
// Source: OCI Distribution Specification 1.1, and the grammar of container references.
struct Reference {
  std::string host;        // with port, if one was given
  std::string repository;  // "nvidia/cloud-native/kata-gpu-artifacts"
  std::string tag;         // empty: none
  std::string digest;      // "sha256:..."; empty: none

  bool IsDockerHub() const { return host == "docker.io"; }
  // Who is asked: the host, but for Docker Hub, whose registry has another name.
  std::string Server() const { return IsDockerHub() ? "registry-1.docker.io" : host; }
  // How the registry is asked for it: the digest wins.
  const std::string& Version() const { return digest.empty() ? tag : digest; }
};

// kInvalidArgument says which part is wrong, without repeating a login that stands before the host.
absl::StatusOr<Reference> ParseReference(const std::string& text);

// The name of a registry in lower case; the other names of Docker Hub become docker.io.
std::string CanonicalHost(const std::string& host);

// Whether it is "sha256:" and 64 hexadecimal digits in lower case.
bool IsDigest(const std::string& text);

}  // namespace gpuhost::kata_manager::artifacts
