// SPDX-License-Identifier: Apache-2.0
//
// The programs that kubeconfigs of cloud providers name: they print a credential.
// Source: Kubernetes API reference, client.authentication.k8s.io/v1, ExecCredential.
#pragma once

#include <absl/status/statusor.h>

#include <ctime>
#include <optional>
#include <string>

#include "daemons/common/kube/endpoint.h"

namespace gpuhost::kube {

struct Credential {
  std::string token;  // or else the next two
  std::string certificate_pem;
  std::string key_pem;
  std::optional<std::time_t> expires;
};

// Runs the plugin of `endpoint`, which has one, for at most 30 s. Errors name its command: those of
// OutputOf, and kInvalidArgument for what it prints and is no credential.
absl::StatusOr<Credential> RunPlugin(const Endpoint& endpoint);

// What a plugin printed. kInvalidArgument when it is no ExecCredential of that version.
absl::StatusOr<Credential> ParseCredential(std::string_view output, std::string_view api_version);

// "2026-01-31T12:00:00Z", also with fractions and other offsets; nothing for any other text.
// Source: RFC 3339.
std::optional<std::time_t> ParseTime(std::string_view text);

}  // namespace gpuhost::kube
