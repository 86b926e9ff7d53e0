// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/quiet.h"

#include "daemons/cc-manager/operands.h"
#include "daemons/common/service/instance.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

using Kind = Obstacle::Kind;

constexpr std::string_view kPlugin = "sandbox-device-plugin";
constexpr Duration kPluginLimit = std::chrono::seconds(30);
constexpr Duration kOperandLimit = std::chrono::minutes(5);

Obstacle Never(Kind kind, const absl::Status& status) { return {kind, Text(status), status}; }

}  // namespace

Obstacle Quiet::Look(const Stand& stand, const Survey& survey) {
  std::optional<service::StatusDocument> plugin;
  if (service::IsAlive(fs_, kPlugin)) {
    auto document = service::ReadStatusDocument(fs_, kPlugin);
    plugin = document.ok() ? *std::move(document) : service::StatusDocument{};
  }
  Obstacle obstacle = AskPlugin(plugin, stand.transition);
  if (obstacle.kind == Kind::kNone) obstacle = AskUsers(plugin, survey);
  if (obstacle.kind == Kind::kNone) obstacle = AskOperands(stand);
  if (obstacle.kind != waiting_for_) {
    waiting_for_ = obstacle.kind;
    since_ = clock_.Now();
  }
  return obstacle;
}

bool Quiet::LastsLongerThan(Kind kind, Duration limit) {
  return waiting_for_ == kind && clock_.Now() - since_ > limit;
}

Obstacle Quiet::AskPlugin(const std::optional<service::StatusDocument>& plugin,
                          const std::string& transition) {
  if (!plugin || plugin->transition == transition) return {};
  const std::string text = fmt::format("{} to withdraw the GPUs", kPlugin);
  if (!LastsLongerThan(Kind::kPlugin, kPluginLimit)) return {Kind::kPlugin, text, {}};
  return Never(Kind::kPlugin, Error(absl::StatusCode::kDeadlineExceeded,
                                    "{} has not withdrawn the GPUs within {:.0f} s; restart it",
                                    kPlugin, Seconds(kPluginLimit)));
}

Obstacle Quiet::AskUsers(const std::optional<service::StatusDocument>& plugin,
                         const Survey& survey) {
  if (settings_.policy == WorkloadPolicy::kForce) return {};
  const auto pods = Pods();
  if (!pods.ok() && settings_.policy == WorkloadPolicy::kDrain) {
    return Never(Kind::kUsers, pods.status());
  }
  const Users users = FindUsers(survey.devices, plugin, pods.value_or(std::vector<kube::Pod>()));
  if (users.text.empty()) return {};
  if (settings_.policy == WorkloadPolicy::kRefuse) {
    return Never(Kind::kUsers,
                 Error(absl::StatusCode::kFailedPrecondition, "{}; end that first", users.text));
  }
  if (settings_.policy == WorkloadPolicy::kDrain) {
    const absl::Status evicted = Evict(users.pods);
    if (absl::IsPermissionDenied(evicted)) return Never(Kind::kUsers, evicted);
    if (!evicted.ok()) return {Kind::kUsers, fmt::format("{}; {}", users.text, Text(evicted)), {}};
  }
  return {Kind::kUsers, users.text, {}};
}

absl::StatusOr<std::vector<kube::Pod>> Quiet::Pods() {
  if (node_ == nullptr) return std::vector<kube::Pod>();
  if (!may_list_pods_ && settings_.policy != WorkloadPolicy::kDrain) {
    return std::vector<kube::Pod>();
  }
  auto pods = node_->Pods();
  if (absl::IsPermissionDenied(pods.status()) && may_list_pods_) {
    may_list_pods_ = false;
    service::Log(
        service::Level::kInfo,
        "pods of all namespaces cannot be listed, users of GPUs are looked for on the node",
        {{"error", pods.status()}});
  }
  return pods;
}

absl::Status Quiet::Evict(const std::vector<kube::Pod>& pods) {
  absl::Status first;
  for (const kube::Pod& pod : pods) {
    if (pod.terminating || pod.mirror || pod.of_daemon_set)
      continue;  // eviction ends none of these
    const absl::Status status = node_->Evict(pod);
    if (status.ok()) {
      service::Log(service::Level::kInfo, "pod evicted",
                   {{"namespace", pod.name_space}, {"pod", pod.name}});
    } else if (first.ok()) {
      first = status;
    }
  }
  return first;
}

Obstacle Quiet::AskOperands(const Stand& stand) {
  if (node_ == nullptr || !settings_.evict_operands) return {};
  const auto seen = node_->Seen();
  if (!seen.ok()) return {Kind::kOperands, Text(seen.status()), {}};
  if (!PausePatch(seen->labels).empty()) {
    if (!stand.paused) return {Kind::kPause, "operands to be paused", {}};
    return {Kind::kOperands, "operands to be paused", {}};
  }
  if (!stand.paused) return {};
  const auto pods = node_->Operands();
  if (absl::IsPermissionDenied(pods.status())) {
    return Never(Kind::kOperands, Annotate(pods.status(),
                                           "cannot see whether the operands have left; set "
                                           "OPERATOR_NAMESPACE to where they are"));
  }
  std::string names = pods.ok() ? "" : Text(pods.status());
  for (const kube::Pod& pod : pods.value_or(std::vector<kube::Pod>())) {
    if (!IsPausedOperand(pod.labels)) continue;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", pod.name);
  }
  if (names.empty()) return {};
  if (!LastsLongerThan(Kind::kOperands, kOperandLimit)) {
    return {Kind::kOperands, fmt::format("operands to end: {}", names), {}};
  }
  return Never(Kind::kOperands,
               Error(absl::StatusCode::kDeadlineExceeded,
                     "operands have not ended within {:.0f} s: {}", Seconds(kOperandLimit), names));
}

}  // namespace gpuhost::cc_manager
