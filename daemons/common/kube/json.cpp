// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/json.h"

#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::kube {
namespace {

using Json = nlohmann::json;

Json Parse(std::string_view body) { return Json::parse(body, nullptr, /*allow_exceptions=*/false); }

// The member, or null where `object` has none.
const Json& Member(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : null;
}

std::string TextOf(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

}  // namespace

absl::StatusOr<Node> ParseNode(std::string_view body) {
  const Json json = Parse(body);
  const Json& metadata = Member(json, "metadata");
  Node node{.name = TextOf(metadata, "name"),
            .resource_version = TextOf(metadata, "resourceVersion")};
  if (TextOf(json, "kind") != "Node" || node.name.empty()) {
    return Error(absl::StatusCode::kDataLoss, "read a node: the answer is none but '{}'",
                 body.substr(0, 80));
  }
  for (const auto& [key, value] : Member(metadata, "labels").items()) {
    if (value.is_string()) node.labels[key] = value.get<std::string>();
  }
  return node;
}

std::string MergePatch(const LabelPatch& patch) {
  Json labels = Json::object();
  for (const auto& [key, value] : patch) labels[key] = value ? Json(*value) : Json();
  return Json{{"metadata", {{"labels", labels}}}}.dump();
}

std::string ParseStatusMessage(std::string_view body) {
  const Json json = Parse(body);
  return TextOf(json, "kind") == "Status" ? TextOf(json, "message") : "";
}

}  // namespace gpuhost::kube
