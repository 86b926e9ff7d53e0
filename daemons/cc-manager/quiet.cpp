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
constexpr Duration kPodsFor = std::chrono::seconds(10);  // a list of pods is believed

Obstacle Never(Kind kind, const absl::Status& status) { return {kind, Text(status), status}; }

}  // namespace

void Quiet::Begin() {
  waiting_for_ = Kind::kNone;
  plugin_given_up_ = false;
  may_list_pods_ = true;
  pods_.reset();
}

Obstacle Quiet::Look(const Stand& stand, const Survey& survey) {
  const TimePoint start = clock_.Now();
  PluginWord plugin;
  if (service::IsAlive(fs_, kPlugin)) plugin = service::ReadStatusDocument(fs_, kPlugin);
  Obstacle obstacle = LookInOrder(plugin, stand, survey);
  // Nobody stood in the way some seconds ago; what counts is whether anybody does now.
  if (obstacle.kind == Kind::kNone && pods_ && pods_listed_ < start) {
    pods_.reset();
    obstacle = AskUsers(plugin, survey);
  }
  if (obstacle.kind != waiting_for_) {
    waiting_for_ = obstacle.kind;
    since_ = clock_.Now();
  }
  return obstacle;
}

Obstacle Quiet::LookInOrder(const PluginWord& plugin, const Stand& stand, const Survey& survey) {
  if (auto obstacle = AskPlugin(plugin, stand.transition); obstacle.kind != Kind::kNone) {
    return obstacle;
  }
  if (auto obstacle = AskUsers(plugin, survey); obstacle.kind != Kind::kNone) return obstacle;
  return AskOperands(stand);
}

bool Quiet::LastsLongerThan(Kind kind, Duration limit) {
  return waiting_for_ == kind && clock_.Now() - since_ > limit;
}

Obstacle Quiet::AskPlugin(const PluginWord& plugin, const std::string& transition) {
  if (!plugin || plugin_given_up_) return {};
  if (plugin->ok() && (*plugin)->transition == transition) return {};
  std::string why = plugin->ok() ? (*plugin)->reason : Text(plugin->status());
  if (!why.empty()) why = fmt::format(" ({})", why);
  if (!LastsLongerThan(Kind::kPlugin, kPluginLimit)) {
    return {Kind::kPlugin, fmt::format("{} to withdraw the GPUs{}", kPlugin, why), {}};
  }
  const std::string late =
      fmt::format("{} has not withdrawn the GPUs within {:.0f} s{}; restart it", kPlugin,
                  Seconds(kPluginLimit), why);
  if (settings_.policy == WorkloadPolicy::kForce) {
    plugin_given_up_ = true;
    service::Log(service::Level::kWarning, "going on by force", {{"reason", late}});
    return {};
  }
  if (settings_.policy == WorkloadPolicy::kRefuse) {
    return Never(Kind::kPlugin, absl::DeadlineExceededError(late));
  }
  return {Kind::kPlugin, late, {}};
}

Obstacle Quiet::AskUsers(const PluginWord& plugin, const Survey& survey) {
  if (settings_.policy == WorkloadPolicy::kForce) return {};
  const Pods pods = PodsOfLate();
  if (absl::IsPermissionDenied(pods.status())) return Never(Kind::kUsers, pods.status());
  const Users users = FindUsers(survey.devices, plugin, pods);
  std::string text = users.text;
  if (!users.unknown.empty()) text += (text.empty() ? "" : "; ") + users.unknown;
  if (text.empty()) return {};
  if (settings_.policy == WorkloadPolicy::kRefuse) {
    const std::string_view remedy =
        users.text.empty() ? "try again, or use force where nobody has any" : "end that first";
    return Never(Kind::kUsers,
                 Error(absl::StatusCode::kFailedPrecondition, "{}; {}", text, remedy));
  }
  if (settings_.policy == WorkloadPolicy::kDrain) {
    const absl::Status evicted = Evict(users.pods);
    if (absl::IsPermissionDenied(evicted)) return Never(Kind::kUsers, evicted);
    if (!evicted.ok()) return {Kind::kUsers, fmt::format("{}; {}", text, Text(evicted)), {}};
  }
  return {Kind::kUsers, text, {}};
}

// Lists are dear to the API server, and while a change waits they are not what it hangs on.
Quiet::Pods Quiet::PodsOfLate() {
  if (!pods_ || clock_.Now() - pods_listed_ >= kPodsFor) {
    pods_ = ListPods();
    pods_listed_ = clock_.Now();
  }
  return *pods_;
}

// None where we may not list them, as with the rights that the GPU Operator gives: then pods are
// known by the plugin, or by the processes that have devices open. To drain one must know them.
Quiet::Pods Quiet::ListPods() {
  const bool must = settings_.policy == WorkloadPolicy::kDrain;
  if (node_ == nullptr || (!may_list_pods_ && !must)) return std::vector<kube::Pod>();
  auto pods = node_->Pods();
  if (!absl::IsPermissionDenied(pods.status()) || must) return pods;
  may_list_pods_ = false;
  service::Log(told_of_pods_ ? service::Level::kDebug : service::Level::kInfo,
               "pods of all namespaces cannot be listed, users of GPUs are looked for on the node",
               {{"error", pods.status()}});
  told_of_pods_ = true;
  return std::vector<kube::Pod>();
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
      pods_.reset();
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
