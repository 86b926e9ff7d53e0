// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/target.h"

#include "daemons/cc-manager/labels.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/host.h"

namespace gpuhost::cc_manager {
namespace {

// A host without confidential VMs has no use for any mode but off. A label may still ask for one.
cc::Mode Fallback(const HostFs& host, cc::Mode configured) {
  if (configured == cc::Mode::kOff || cc::FindTee(host) != cc::Tee::kNone) return configured;
  service::Log(service::Level::kWarning,
               "no SEV-SNP and no TDX on this host: without label its mode is off",
               {{"default", cc::ToString(configured)}});
  return cc::Mode::kOff;
}

}  // namespace

absl::StatusOr<cc::Mode> NodeTarget::Wanted() {
  GPUHOST_ASSIGN(const kube::Node node, client_.GetNode(node_));
  return WantedMode(node.labels, fallback_);
}

absl::Status NodeTarget::Report(std::optional<cc::Mode> reached) {
  return client_.PatchNodeLabels(node_, StateLabels(reached)).status();
}

absl::StatusOr<std::unique_ptr<Target>> MakeTarget(const HostFs& host, kube::HttpClient& http,
                                                   const Options& options) {
  if (options.standalone) return std::make_unique<FixedTarget>(options.mode);
  GPUHOST_TRY(kube::CheckNodeName(options.node_name));
  GPUHOST_ASSIGN(kube::Access access, kube::FindAccess(options.kubeconfig));
  auto endpoint = [access = std::move(access)] { return kube::LoadEndpoint(HostFs(), access); };
  return std::make_unique<NodeTarget>(kube::Client(http, std::move(endpoint)), options.node_name,
                                      Fallback(host, options.mode));
}

}  // namespace gpuhost::cc_manager
