// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/pods.h"

#include <fmt/format.h>

#include <algorithm>

#include "libgpuhost/base/parse.h"

namespace gpuhost::apiserver {
namespace {

constexpr const char* kTooOld =
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list.";

Json ToObject(const ScriptedPod& pod, const std::string& uid, uint64_t version) {
  Json metadata{{"name", pod.name},
                {"namespace", pod.name_space},
                {"uid", uid},
                {"resourceVersion", std::to_string(version)}};
  if (!pod.labels.empty()) metadata["labels"] = pod.labels;
  if (pod.mirror) metadata["annotations"] = {{"kubernetes.io/config.mirror", uid}};
  if (!pod.owner_kind.empty()) {
    metadata["ownerReferences"] = Json::array({{{"apiVersion", "apps/v1"},
                                                {"kind", pod.owner_kind},
                                                {"name", "owner"},
                                                {"uid", "owner"},
                                                {"controller", true}}});
  }
  Json container{{"name", "main"}, {"image", "main"}, {"resources", Json::object()}};
  if (!pod.limits.empty()) {
    container["resources"] = {{"limits", pod.limits}, {"requests", pod.limits}};
  }
  Json spec{{"containers", Json::array({container})}};
  if (!pod.node.empty()) spec["nodeName"] = pod.node;
  return {{"kind", "Pod"},
          {"apiVersion", "v1"},
          {"metadata", metadata},
          {"spec", spec},
          {"status", {{"phase", pod.phase}}}};
}

Answer NotFound(const std::string& name) {
  return Failure(404, "NotFound", fmt::format("pods \"{}\" not found", name));
}

Answer AnotherUid(const std::string& name, const std::string& asked, const std::string& uid) {
  return Failure(409, "Conflict",
                 fmt::format("Operation cannot be fulfilled on Pod \"{}\": the UID in the "
                             "precondition ({}) does not match the UID in record ({}). The object "
                             "might have been deleted and then recreated",
                             name, asked, uid));
}

Answer Protected(const ScriptedBudget& budget) {
  Answer answer = Failure(429, "TooManyRequests",
                          "Cannot evict pod as it would violate the pod's disruption budget.");
  answer.body["details"]["causes"] = Json::array(
      {{{"reason", "DisruptionBudget"},
        {"message", fmt::format("The disruption budget {} needs {} healthy pods and has {} "
                                "currently",
                                budget.name, budget.needed, budget.healthy)}}});
  return answer;
}

Answer SeveralBudgets() {
  return Failure(500, "",
                 "This pod has more than one PodDisruptionBudget, which the eviction subresource "
                 "does not support.");
}

Answer Success(int code) {
  return {.code = code,
          .body = {{"kind", "Status"},
                   {"apiVersion", "v1"},
                   {"metadata", Json::object()},
                   {"status", "Success"},
                   {"code", code}}};
}

std::string TextAt(const Json& json, const char* pointer) {
  const Json::json_pointer where(pointer);
  return json.is_object() && json.contains(where) && json[where].is_string()
             ? json[where].get<std::string>()
             : "";
}

}  // namespace

std::string Pods::Add(const ScriptedPod& pod) {
  const std::string uid = fmt::format("00000000-0000-4000-8000-{:012}", ++uids_);
  pods_[{pod.name_space, pod.name}] = {pod, ToObject(pod, uid, ++version_)};
  return uid;
}

void Pods::Remove(const std::string& name_space, const std::string& name) {
  pods_.erase({name_space, name});
  ++version_;
}

bool Pods::Contains(const std::string& name_space, const std::string& name) const {
  return pods_.contains({name_space, name});
}

Answer Pods::Get(const Query& query) const {
  const auto found = pods_.find({query.name_space, query.name});
  return found == pods_.end() ? NotFound(query.name) : Answer{.body = found->second.object};
}

// A token to continue with is the version of the first page and the last pod of the one before.
Answer Pods::List(const Query& query) const {
  const std::string node = query.Selected("spec.nodeName"), token = query.Parameter("continue");
  const size_t limit = ParseDecimal(query.Parameter("limit")).value_or(0);
  uint64_t version = version_;
  Key after;
  if (!token.empty()) {
    const size_t one = token.find('/'), two = token.find('/', one + 1);
    version = ParseDecimal(token.substr(0, one)).value_or(0);
    after = {token.substr(one + 1, two - one - 1), token.substr(two + 1)};
    if (version < forgotten_) return Failure(410, "Expired", kTooOld);
  }
  Json items = Json::array();
  Json metadata{{"resourceVersion", std::to_string(version)}};
  for (const auto& [key, held] : pods_) {
    if (!token.empty() && key <= after) continue;
    if (!query.name_space.empty() && key.first != query.name_space) continue;
    if (!node.empty() && held.pod.node != node) continue;
    if (limit > 0 && items.size() == limit) {
      const std::string last = TextAt(items.back(), "/metadata/namespace") + "/" +
                               TextAt(items.back(), "/metadata/name");
      metadata["continue"] = fmt::format("{}/{}", version, last);
      break;
    }
    items.push_back(held.object);
  }
  return {.body = {
              {"kind", "PodList"}, {"apiVersion", "v1"}, {"metadata", metadata}, {"items", items}}};
}

Answer Pods::End(const Key& key) {
  Held& held = pods_.at(key);
  held.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  Answer answer{.body = held.object};
  if (!held.pod.lingers) pods_.erase(key);
  ++version_;
  return answer;
}

Answer Pods::Delete(const Query& query) {
  const Key key{query.name_space, query.name};
  return pods_.contains(key) ? End(key) : NotFound(query.name);
}

std::vector<ScriptedBudget*> Pods::BudgetsOf(const ScriptedPod& pod) {
  std::vector<ScriptedBudget*> budgets;
  for (ScriptedBudget& budget : budgets_) {
    const bool matches = std::all_of(budget.match.begin(), budget.match.end(), [&](const auto& l) {
      const auto label = pod.labels.find(l.first);
      return label != pod.labels.end() && label->second == l.second;
    });
    if (budget.name_space == pod.name_space && matches) budgets.push_back(&budget);
  }
  return budgets;
}

// As the server does: budgets protect only pods that run and are not about to end, and are asked
// before the uid is looked at.
Answer Pods::Evict(const Query& query) {
  const Json body = Json::parse(query.body, nullptr, false);
  if (!body.is_object()) return Failure(400, "BadRequest", "error decoding");
  const Key key{query.name_space, query.name};
  const auto found = pods_.find(key);
  if (found == pods_.end()) return NotFound(query.name);
  const Held& held = found->second;
  if (held.pod.phase == "Running" && !held.object["metadata"].contains("deletionTimestamp")) {
    const auto budgets = BudgetsOf(held.pod);
    if (budgets.size() > 1) return SeveralBudgets();
    if (budgets.size() == 1 && budgets[0]->allowed == 0) return Protected(*budgets[0]);
    if (budgets.size() == 1) --budgets[0]->allowed;
  }
  const Json::json_pointer precondition("/deleteOptions/preconditions/uid");
  const std::string asked = TextAt(body, "/deleteOptions/preconditions/uid");
  const std::string uid = TextAt(held.object, "/metadata/uid");
  if (body.contains(precondition) && asked != uid) return AnotherUid(query.name, asked, uid);
  End(key);
  return Success(201);
}

}  // namespace gpuhost::apiserver
