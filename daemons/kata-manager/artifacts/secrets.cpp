// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/secrets.h"

#include <absl/strings/escaping.h>

#include <nlohmann/json.hpp>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/endpoint_source.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

constexpr const char* kKey = ".dockerconfigjson";

absl::StatusOr<std::string> ConfigIn(const std::string& name, const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (json.is_object() && data != json.end() && data->is_object() && data->contains(kKey) &&
      (*data)[kKey].is_string()) {
    std::string text;
    if (absl::Base64Unescape((*data)[kKey].get<std::string>(), &text)) return text;
  }
  return Error(absl::StatusCode::kInvalidArgument,
               "secret {} is not of type kubernetes.io/dockerconfigjson", name);
}

}  // namespace

absl::StatusOr<std::string> Secrets::Read(const std::string& name) const {
  GPUHOST_TRY(kube::CheckPodName(name));  // both are RFC 1123 subdomains
  GPUHOST_ASSIGN(const kube::Access access, kube::FindAccess(kubeconfig_));
  std::string name_space = name_space_;
  if (name_space.empty()) {
    GPUHOST_ASSIGN(name_space, kube::OwnNamespace(own_, access));
  }
  GPUHOST_TRY(kube::CheckNamespace(name_space));
  kube::EndpointSource source(own_, access);
  GPUHOST_ASSIGN(const kube::Endpoint endpoint, source.Load());
  const std::string what = fmt::format("get secret {} in {}", name, name_space);
  const auto response = http_.Send(
      endpoint, {.path = fmt::format("/api/v1/namespaces/{}/secrets/{}", name_space, name)});
  if (!response.ok()) return Annotate(response.status(), what);
  switch (response->code) {
    case 200:
      return ConfigIn(name, response->body);
    case 403:
      return Error(absl::StatusCode::kPermissionDenied,
                   "{}: the service account needs the right to get it", what);
    case 404:
      return Error(absl::StatusCode::kNotFound, "{}: there is none", what);
    default:
      return Error(absl::StatusCode::kUnavailable, "{}: the API server answers {}", what,
                   response->code);
  }
}

}  // namespace gpuhost::kata_manager::artifacts
