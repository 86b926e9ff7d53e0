// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/wish.h"

#include "daemons/cc-manager/config.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/host.h"

namespace gpuhost::cc_manager {
namespace {

using service::Level;
using service::Log;

// A host without confidential VMs has no use for any mode but off. A label may still ask for one.
absl::StatusOr<cc::Mode> Fallback(const HostFs& host, const Options& options) {
  const bool off = options.mode.ok() && *options.mode == cc::Mode::kOff;
  if (options.standalone || off || cc::FindTee(host) != cc::Tee::kNone) return options.mode;
  Log(Level::kWarning, "no SEV-SNP and no TDX on this host: without label its mode is off",
      {{"default", options.mode.ok() ? cc::ToString(*options.mode) : "invalid"}});
  return cc::Mode::kOff;
}

// The side that resets devices has been told at its start whether it may take them from users.
void TakePolicy(WorkloadPolicy wanted, WorkloadPolicy& policy) {
  if ((wanted == WorkloadPolicy::kForce) == (policy == WorkloadPolicy::kForce)) {
    policy = wanted;
  } else {
    Log(Level::kWarning, "workload-policy not taken; restart cc-manager to begin or end 'force'");
  }
}

}  // namespace

Wish::Wish(const HostFs& fs, Clock& clock, Options& options, OurNode* node)
    : clock_(clock), options_(options), node_(node), fallback_(Fallback(fs, options)) {
  const auto earlier = service::ReadStatusDocument(fs, "cc-manager");
  if (!earlier.ok()) return;
  const auto target = cc::ParseMode(earlier->target);
  if (target.ok()) last_ = *target;
}

absl::StatusOr<cc::Mode> Wish::Mode() {
  if (node_ == nullptr) return fallback_;
  GPUHOST_ASSIGN(const kube::Node node, node_->Seen());
  const auto wanted = WantedMode(node.labels, fallback_);
  if (IsHeld(node, wanted)) return *last_;
  if (wanted.ok()) last_ = *wanted;
  return wanted;
}

// A node object that carries no word of its administrator and none of ours has just been made.
bool Wish::IsHeld(const kube::Node& node, const absl::StatusOr<cc::Mode>& wanted) {
  const auto label = node.labels.find(kModeLabel);
  const bool labelled = label != node.labels.end() && !label->second.empty();
  const bool other = last_ && wanted.ok() && *wanted != *last_;
  if (std::exchange(uid_, node.uid) != node.uid && !node.labels.contains(kModeStateLabel) &&
      !labelled && other) {
    held_until_ = clock_.Now() + kGrace;
    Log(Level::kWarning, "the node is new in Kubernetes and has no label: its former mode is kept",
        {{"mode", cc::ToString(*last_)}, {"seconds", Seconds(kGrace)}});
  }
  if (labelled) held_until_ = {};
  return other && clock_.Now() < held_until_;
}

void Wish::Reload() {
  if (options_.config_path.empty()) return;  // with Kubernetes
  const auto config = ReadConfig(HostFs(), options_.config_path);
  if (!config.ok()) {
    Log(Level::kError, "configuration not taken, going on with the former one",
        {{"error", config.status()}});
    return;
  }
  if (config->mode && !options_.mode_fixed) fallback_ = *config->mode;
  if (config->policy) TakePolicy(*config->policy, options_.settings.policy);
  Log(Level::kInfo, "configuration read again",
      {{"mode", fallback_.ok() ? cc::ToString(*fallback_) : "invalid"}});
}

}  // namespace gpuhost::cc_manager
