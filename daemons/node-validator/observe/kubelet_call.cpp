// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/kubelet_call.h"

#include "daemons/common/rpc/unary_call.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {

absl::StatusOr<std::string> AskPodResources(const std::string& socket, Duration limit) {
  const std::string name = "gpuhost-node-validator-asks", name_space = "default";
  std::string request = "\x0a";
  request += static_cast<char>(name.size());
  request += name + "\x12";
  request += static_cast<char>(name_space.size());
  request += name_space;
  GPUHOST_ASSIGN(const rpc::UnaryAnswer answer,
                 rpc::CallUnary(socket, "v1.PodResourcesLister/Get", request, limit));
  if (answer.status == "0") return "found";
  return fmt::format("{} (gRPC status {})", answer.message, answer.status);
}

}  // namespace gpuhost::node_validator
