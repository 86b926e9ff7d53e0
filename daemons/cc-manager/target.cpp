// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/target.h"

#include <sys/eventfd.h>

#include <random>

#include "daemons/cc-manager/labels.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
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

WatchedNodeTarget::WatchedNodeTarget(kube::HttpClient& http, Endpoint endpoint,
                                     const std::string& node, cc::Mode fallback)
    : NodeTarget(kube::Client(http, endpoint), node, fallback),
      changed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      http_(stop_.get()),
      watch_(kube::Client(http_, std::move(endpoint)), node, clock_, std::random_device()(),
             {.on_node = [this](const auto& seen) { OnNode(seen); },
              .on_error = [this](const absl::Status& status) { OnError(status); },
              .pause =
                  [this](Duration pause) {
                    return !service::WaitReadable({stop_.get()}, pause)[0];
                  }}) {}

void WatchedNodeTarget::Start() {
  thread_ = std::thread([this] { watch_.Follow(); });
}

WatchedNodeTarget::~WatchedNodeTarget() {
  ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void WatchedNodeTarget::Drain() {
  eventfd_t count = 0;
  ::eventfd_read(changed_.get(), &count);
}

void WatchedNodeTarget::OnNode(const std::optional<kube::Node>& node) {
  const std::lock_guard lock(mutex_);
  error_ = absl::OkStatus();
  if (node)
    labels_ = node->labels;
  else
    labels_ = absl::NotFoundError("the node does not exist in Kubernetes; waiting for it");
  ::eventfd_write(changed_.get(), 1);
}

void WatchedNodeTarget::OnError(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  const bool expected = absl::IsOutOfRange(status) || status == error_;
  error_ = status;
  service::Log(expected ? service::Level::kDebug : service::Level::kWarning,
               "node not watched, trying again", {{"error", status}});
}

absl::StatusOr<cc::Mode> WatchedNodeTarget::Wanted() {
  {
    const std::lock_guard lock(mutex_);
    if (labels_) {
      return labels_->ok() ? WantedMode(**labels_, fallback())
                           : absl::StatusOr<cc::Mode>(labels_->status());
    }
  }
  return NodeTarget::Wanted();
}

absl::StatusOr<std::unique_ptr<Target>> MakeTarget(const HostFs& host, kube::HttpClient& http,
                                                   const Options& options) {
  if (options.standalone) return std::make_unique<FixedTarget>(options.mode);
  GPUHOST_TRY(kube::CheckNodeName(options.node_name));
  GPUHOST_ASSIGN(kube::Access access, kube::FindAccess(options.kubeconfig));
  auto endpoint = [access = std::move(access)] { return kube::LoadEndpoint(HostFs(), access); };
  const cc::Mode fallback = Fallback(host, options.mode);
  if (options.once || options.dry_run) {
    return std::make_unique<NodeTarget>(kube::Client(http, std::move(endpoint)), options.node_name,
                                        fallback);
  }
  return std::make_unique<WatchedNodeTarget>(http, std::move(endpoint), options.node_name,
                                             fallback);
}

}  // namespace gpuhost::cc_manager
