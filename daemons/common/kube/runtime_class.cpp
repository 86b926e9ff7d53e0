// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/runtime_class.h"

#include "daemons/common/kube/json_access.h"

namespace gpuhost::kube {

absl::StatusOr<std::vector<RuntimeClass>> ParseRuntimeClasses(std::string_view body) {
  const Json json = ParseJson(body);
  const Json& items = Member(json, "items");
  // A list of nothing may be null.
  if (TextOf(json, "kind") != "RuntimeClassList" || !(items.is_array() || items.is_null())) {
    return NoAnswer("a list of runtime classes", body);
  }
  std::vector<RuntimeClass> classes;
  for (const Json& item : items) {
    const Json& metadata = Member(item, "metadata");
    classes.push_back(
        {.name = TextOf(metadata, "name"),
         .handler = TextOf(item, "handler"),
         .labels = LabelsOf(Member(metadata, "labels")),
         .node_selector = LabelsOf(Member(Member(item, "scheduling"), "nodeSelector")),
         .overhead = LabelsOf(Member(Member(item, "overhead"), "podFixed"))});
    if (classes.back().name.empty() || classes.back().handler.empty()) {
      return NoAnswer("a list of runtime classes", body);
    }
  }
  return classes;
}

}  // namespace gpuhost::kube
