// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/operands.h"

#include <fmt/format.h>

namespace gpuhost::apiserver {
namespace {

bool IsWanted(const Store& nodes, const Operand& operand) {
  const Json::json_pointer labels("/metadata/labels");
  const Answer node = nodes.Get(operand.node);
  return node.code == 200 && node.body.contains(labels) &&
         node.body[labels].value(operand.label, "") == "true";
}

}  // namespace

void Operands::Switch(Kept& kept, Pods& pods) {
  const Operand& operand = kept.operand;
  if (!kept.pod.empty()) {
    pods.Remove(operand.name_space, std::exchange(kept.pod, ""));
    return;
  }
  kept.pod = fmt::format("{}-{:05}", operand.app, ++created_);
  pods.Add(ScriptedPod{.name = kept.pod,
                       .name_space = operand.name_space,
                       .node = operand.node,
                       .labels = {{"app", operand.app}},
                       .owner_kind = "DaemonSet"});
}

void Operands::Follow(const Store& nodes, Pods& pods, size_t requests) {
  if (held_) return;
  for (Kept& kept : operands_) {
    // Somebody else may have ended it.
    if (!kept.pod.empty() && !pods.Contains(kept.operand.name_space, kept.pod)) kept.pod.clear();
    if (IsWanted(nodes, kept.operand) == !kept.pod.empty()) {
      kept.due.reset();
      continue;
    }
    if (!kept.due) kept.due = requests + static_cast<size_t>(kept.operand.lag);
    if (requests < *kept.due) continue;
    kept.due.reset();
    Switch(kept, pods);
  }
}

}  // namespace gpuhost::apiserver
