// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/connect.h"

#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

absl::StatusOr<std::unique_ptr<Cluster>> Connect(const Options& options, int stop_fd) {
  if (options.standalone) return std::unique_ptr<Cluster>();
  GPUHOST_TRY(kube::CheckNodeName(options.node_name));
  GPUHOST_ASSIGN(kube::Access access, kube::FindAccess(options.kubeconfig));
  std::string name_space = options.operator_namespace;
  if (name_space.empty())
    name_space = kube::OwnNamespace(HostFs(), access).value_or("gpu-operator");
  GPUHOST_TRY(kube::CheckNamespace(name_space));
  return std::make_unique<Cluster>(std::move(access), options.node_name, name_space, stop_fd);
}

}  // namespace gpuhost::cc_manager
