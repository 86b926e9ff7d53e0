// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/connect.h"

#include <algorithm>
#include <iterator>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {

absl::StatusOr<ApiSideNeeds> NeedsOf(const Options& options) {
  ApiSideNeeds needs;
  const auto of_ours = [](std::string_view name) {
    return fmt::format("{}/{}", service::kStatusDirectory, name);
  };
  needs.files.node = {of_ours("sandbox-device-plugin.lock")};
  needs.files.replaced = {of_ours("cc-manager.json"), of_ours("cc-manager-changes.json")};
  if (!options.settings.readiness_file.empty()) {
    needs.files.replaced.push_back(options.settings.readiness_file);
  }
  if (!options.config_path.empty()) needs.files.own.push_back(options.config_path);
  needs.confinement.user = options.api_user;
  needs.confinement.reads = {HostFs(options.root).Resolve("/run/nvidia")};
  if (options.standalone) return needs;
  GPUHOST_ASSIGN(const kube::Access access, kube::FindAccess(options.kubeconfig));
  GPUHOST_ASSIGN(const kube::CredentialNeeds credentials, kube::NeedsOf(HostFs(), access));
  std::ranges::copy(credentials.files, std::back_inserter(needs.files.own));
  needs.confinement.runs_plugin = credentials.runs_plugin;
  return needs;
}

absl::StatusOr<std::unique_ptr<Cluster>> Connect(const Options& options,
                                                 std::unique_ptr<const HostFs> own, int stop_fd) {
  if (options.standalone) return std::unique_ptr<Cluster>();
  GPUHOST_TRY(kube::CheckNodeName(options.node_name));
  GPUHOST_ASSIGN(kube::Access access, kube::FindAccess(options.kubeconfig));
  std::string name_space = options.operator_namespace;
  if (name_space.empty()) name_space = kube::OwnNamespace(*own, access).value_or("gpu-operator");
  GPUHOST_TRY(kube::CheckNamespace(name_space));
  return std::make_unique<Cluster>(std::move(own), std::move(access), options.node_name, name_space,
                                   stop_fd);
}

}  // namespace gpuhost::cc_manager
