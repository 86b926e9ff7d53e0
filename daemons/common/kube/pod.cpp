// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/pod.h"

#include <algorithm>

#include "daemons/common/kube/json_access.h"
#include "libgpuhost/base/parse.h"

namespace gpuhost::kube {
namespace {

constexpr std::string_view kVendor = "nvidia.com/";
constexpr const char* kMirrorAnnotation = "kubernetes.io/config.mirror";

using Amounts = std::map<std::string, uint64_t>;

// The server fills in requests from limits; both are the same for extended resources.
Amounts AmountsOf(const Json& container) {
  Amounts amounts;
  const Json& resources = Member(container, "resources");
  for (const char* part : {"limits", "requests"}) {
    for (const auto& [name, value] : Member(resources, part).items()) {
      if (!name.starts_with(kVendor)) continue;
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      amounts[name] = ParseDecimal(text, UINT32_MAX).value_or(1);
    }
  }
  std::erase_if(amounts, [](const auto& amount) { return amount.second == 0; });
  return amounts;
}

// Init containers run before the others, one by one, but for those that are restarted always.
Amounts GpusOf(const Json& spec) {
  Amounts sum, most;
  const auto add = [&](const Json& container) {
    for (const auto& [name, amount] : AmountsOf(container)) sum[name] += amount;
  };
  for (const auto& [index, container] : Member(spec, "containers").items()) add(container);
  for (const auto& [index, container] : Member(spec, "initContainers").items()) {
    if (TextOf(container, "restartPolicy") == "Always") {
      add(container);
      continue;
    }
    for (const auto& [name, amount] : AmountsOf(container)) {
      most[name] = std::max(most[name], amount);
    }
  }
  for (const auto& [name, amount] : most) sum[name] = std::max(sum[name], amount);
  return sum;
}

bool IsOfDaemonSet(const Json& metadata) {
  const auto owners = Member(metadata, "ownerReferences").items();
  return std::any_of(owners.begin(), owners.end(), [](const auto& owner) {
    return TextOf(owner.value(), "kind") == "DaemonSet" &&
           Member(owner.value(), "controller") == true;
  });
}

Pod ToPod(const Json& object) {
  const Json& metadata = Member(object, "metadata");
  const Json& spec = Member(object, "spec");
  return {.name = TextOf(metadata, "name"),
          .name_space = TextOf(metadata, "namespace"),
          .uid = TextOf(metadata, "uid"),
          .node = TextOf(spec, "nodeName"),
          .phase = TextOf(Member(object, "status"), "phase"),
          .labels = LabelsOf(Member(metadata, "labels")),
          .terminating = !Member(metadata, "deletionTimestamp").is_null(),
          .mirror = !Member(Member(metadata, "annotations"), kMirrorAnnotation).is_null(),
          .of_daemon_set = IsOfDaemonSet(metadata),
          .gpus = GpusOf(spec)};
}

}  // namespace

absl::StatusOr<PodPage> ParsePodPage(std::string_view body) {
  const Json json = ParseJson(body);
  const Json& items = Member(json, "items");
  // A list of nothing may be null.
  if (TextOf(json, "kind") != "PodList" || !(items.is_array() || items.is_null())) {
    return NoAnswer("a list of pods", body);
  }
  PodPage page{.pods = {}, .next = TextOf(Member(json, "metadata"), "continue")};
  for (const Json& item : items) {
    page.pods.push_back(ToPod(item));
    const Pod& pod = page.pods.back();
    if (pod.name.empty() || pod.name_space.empty() || pod.uid.empty()) {
      return NoAnswer("a list of pods", body);
    }
  }
  return page;
}

std::string EvictionOf(const Pod& pod) {
  return Dump({{"apiVersion", "policy/v1"},
               {"kind", "Eviction"},
               {"metadata", {{"name", pod.name}, {"namespace", pod.name_space}}},
               {"deleteOptions", {{"preconditions", {{"uid", pod.uid}}}}}});
}

}  // namespace gpuhost::kube
