// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/endpoint.h"

#include <cstdlib>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

constexpr std::string_view kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::StatusOr<std::string> ReadFilled(const HostFs& own, const std::string& path) {
  GPUHOST_ASSIGN(const std::string text, own.Read(path));
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "read {}: it is empty; is it being written, is its volume full?", path);
  }
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

absl::StatusOr<Access> FindAccess(const std::string& kubeconfig) {
  if (!kubeconfig.empty()) return Access{.kubeconfig = kubeconfig};
  Access access{.service_host = Environment("KUBERNETES_SERVICE_HOST"),
                .service_port = Environment("KUBERNETES_SERVICE_PORT")};
  if (!access.service_host.empty()) return access;
  access.kubeconfig = Environment("KUBECONFIG");
  if (!access.kubeconfig.empty()) return access;
  return absl::InvalidArgumentError(
      "no API server: this is no pod and $KUBECONFIG is not set; give --kubeconfig FILE, or "
      "--standalone to work without Kubernetes");
}

absl::StatusOr<Endpoint> LoadEndpoint(const HostFs& own, const Access& access) {
  return access.kubeconfig.empty()
             ? LoadServiceAccount(own, access.service_host, access.service_port)
             : LoadKubeconfig(own, access.kubeconfig);
}

absl::StatusOr<Endpoint> LoadServiceAccount(const HostFs& own, const std::string& host,
                                            const std::string& port) {
  const auto number = ParseDecimal(port.empty() ? "443" : port, 65535);
  if (!number || *number == 0) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "read KUBERNETES_SERVICE_PORT '{}': it is no port", port);
  }
  Endpoint endpoint;
  const bool bare_ipv6 = host.find(':') != std::string::npos && !host.starts_with('[');
  endpoint.server = bare_ipv6 ? fmt::format("https://[{}]:{}", host, *number)
                              : fmt::format("https://{}:{}", host, *number);
  GPUHOST_ASSIGN(endpoint.ca_pem, ReadFilled(own, fmt::format("{}/ca.crt", kServiceAccount)));
  GPUHOST_ASSIGN(endpoint.token, ReadFilled(own, fmt::format("{}/token", kServiceAccount)));
  return endpoint;
}

absl::StatusOr<std::string> OwnNamespace(const HostFs& own, const Access& access) {
  return access.kubeconfig.empty() ? own.ReadAttribute(fmt::format("{}/namespace", kServiceAccount))
                                   : KubeconfigNamespace(own, access.kubeconfig);
}

}  // namespace gpuhost::kube
