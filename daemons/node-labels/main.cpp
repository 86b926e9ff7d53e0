// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/service/exit_code.h"
#include "daemons/node-labels/options.h"
#include "libgpuhost/base/status.h"

namespace {

using namespace gpuhost;

// Needs the verb get on nodes, which the GPU Operator gives its device plugins, and nothing else.
absl::StatusOr<kube::Labels> AskFor(const node_labels::Options& options) {
  GPUHOST_ASSIGN(kube::Access access, kube::FindAccess(options.kubeconfig));
  const HostFs own;
  kube::EndpointSource source(own, std::move(access));
  kube::CurlClient http;
  GPUHOST_ASSIGN(const kube::Node node, kube::Client(http, source).GetNode(options.node));
  return node.labels;
}

std::string Render(const kube::Labels& labels) {
  nlohmann::json ours = nlohmann::json::object();
  for (const auto& [key, value] : labels) {
    if (key.starts_with("nvidia.com/")) ours[key] = value;
  }
  return ours.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = node_labels::ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto labels = AskFor(std::get<node_labels::Options>(parsed));
  if (!labels.ok()) {
    fmt::print(stderr, "{}\n", Text(labels.status()));
    return absl::IsInvalidArgument(labels.status()) ? service::kUsage : service::kFailed;
  }
  fmt::print("{}\n", Render(*labels));
  return service::kDone;
}
