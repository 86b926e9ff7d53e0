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

Node ToNode(const Json& object) {
  const Json& metadata = Member(object, "metadata");
  Node node{.name = TextOf(metadata, "name"),
            .resource_version = TextOf(metadata, "resourceVersion")};
  for (const auto& [key, value] : Member(metadata, "labels").items()) {
    if (value.is_string()) node.labels[key] = value.get<std::string>();
  }
  return node;
}

absl::Status NoAnswer(std::string_view wanted, std::string_view body) {
  return Error(absl::StatusCode::kDataLoss, "read {}: the answer is none but '{}'", wanted,
               body.substr(0, 80));
}

}  // namespace

absl::StatusOr<Node> ParseNode(std::string_view body) {
  const Json json = Parse(body);
  Node node = ToNode(json);
  if (TextOf(json, "kind") != "Node" || node.name.empty()) return NoAnswer("a node", body);
  return node;
}

absl::StatusOr<NodeList> ParseNodeList(std::string_view body) {
  const Json json = Parse(body);
  NodeList list{.resource_version = TextOf(Member(json, "metadata"), "resourceVersion")};
  if (TextOf(json, "kind") != "NodeList" || list.resource_version.empty()) {
    return NoAnswer("a list of nodes", body);
  }
  const Json& items = Member(json, "items");
  if (items.is_array() && !items.empty()) list.node = ToNode(items.front());
  return list;
}

absl::StatusOr<NodeEvent> ParseWatchLine(std::string_view line) {
  const Json json = Parse(line);
  const std::string type = TextOf(json, "type");
  const Json& object = Member(json, "object");
  if (type == "ERROR") {
    const bool too_old = Member(object, "code") == 410 || TextOf(object, "reason") == "Expired";
    return Error(too_old ? absl::StatusCode::kOutOfRange : absl::StatusCode::kUnavailable,
                 "watch: {}", TextOf(object, "message"));
  }
  NodeEvent event{.kind = NodeEvent::Kind::kChanged, .node = ToNode(object)};
  if (type == "DELETED") {
    event.kind = NodeEvent::Kind::kDeleted;
  } else if (type == "BOOKMARK") {
    event.kind = NodeEvent::Kind::kBookmark;
  } else if ((type != "ADDED" && type != "MODIFIED") || event.node.name.empty()) {
    return NoAnswer("a watch event", line);
  }
  if (event.node.resource_version.empty()) return NoAnswer("a watch event", line);
  return event;
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
