// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/json.h"

#include <algorithm>

#include "daemons/common/kube/json_access.h"

namespace gpuhost::kube {
namespace {

constexpr std::string_view kOurs = "nvidia.com/";
constexpr size_t kLongestName = 63, kLongestText = 1024;

Json ToJson(const LabelPatch& patch) {
  Json object = Json::object();
  for (const auto& [key, value] : patch) object[key] = value ? Json(*value) : Json();
  return object;
}

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

Node ToNode(const Json& object) {
  const Json& metadata = Member(object, "metadata");
  return {.name = TextOf(metadata, "name"),
          .uid = TextOf(metadata, "uid"),
          .resource_version = TextOf(metadata, "resourceVersion"),
          .labels = LabelsOf(Member(metadata, "labels")),
          .annotations = LabelsOf(Member(metadata, "annotations")),
          .allocatable = LabelsOf(Member(Member(object, "status"), "allocatable"))};
}

}  // namespace

absl::StatusOr<Node> ParseNode(std::string_view body) {
  const Json json = ParseJson(body);
  Node node = ToNode(json);
  if (TextOf(json, "kind") != "Node" || node.name.empty()) return NoAnswer("a node", body);
  return node;
}

absl::StatusOr<std::string> ParseServerVersion(std::string_view body) {
  const std::string version = TextOf(ParseJson(body), "gitVersion");
  if (version.empty()) return NoAnswer("the server's version", body);
  return version;
}

absl::StatusOr<NodeList> ParseNodeList(std::string_view body, const std::string& name) {
  const Json json = ParseJson(body);
  NodeList list{.resource_version = TextOf(Member(json, "metadata"), "resourceVersion")};
  if (TextOf(json, "kind") != "NodeList" || list.resource_version.empty()) {
    return NoAnswer("a list of nodes", body);
  }
  for (const auto& [index, item] : Member(json, "items").items()) {
    if (Node node = ToNode(item); node.name == name) list.node = std::move(node);
  }
  return list;
}

absl::StatusOr<NodeEvent> ParseWatchLine(std::string_view line) {
  const Json json = ParseJson(line);
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

absl::Status CheckOurs(std::string_view key) {
  std::string_view name = key;
  if (name.starts_with(kOurs)) {
    name.remove_prefix(kOurs.size());
    const bool valid = !name.empty() && name.size() <= kLongestName &&
                       IsAlphanumeric(name.front()) && IsAlphanumeric(name.back()) &&
                       std::ranges::all_of(name, [](char c) {
                         return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.';
                       });
    if (valid) return absl::OkStatus();
  }
  return Error(absl::StatusCode::kInvalidArgument,
               "patch '{}': only keys like {}gpu.present are changed here", key.substr(0, 320),
               kOurs);
}

absl::StatusOr<std::string> MergePatch(const NodePatch& patch) {
  Json metadata = Json::object();
  if (!patch.resource_version.empty()) metadata["resourceVersion"] = patch.resource_version;
  for (const auto& [part, changes] :
       {std::pair("labels", &patch.labels), std::pair("annotations", &patch.annotations)}) {
    for (const auto& [key, value] : *changes) GPUHOST_TRY(CheckOurs(key));
    if (!changes->empty()) metadata[part] = ToJson(*changes);
  }
  return Dump(Json{{"metadata", metadata}});
}

std::string Bounded(std::string_view text, size_t limit) {
  // The JSON library replaces what is not UTF-8.
  std::string valid = ParseJson(Dump(Json(std::string(text)))).get<std::string>();
  if (valid.size() <= limit) return valid;
  size_t end = limit;
  while (end > 0 && Continues(valid[end])) --end;
  valid.resize(end);
  return valid;
}

Refusal ParseRefusal(std::string_view body) {
  const Json json = ParseJson(body);
  if (TextOf(json, "kind") != "Status" || TextOf(json, "status") == "Success") return {};
  Refusal refusal{.message = Bounded(TextOf(json, "message"), kLongestText)};
  const Json& code = Member(json, "code");
  if (code.is_number_integer()) refusal.code = code.get<int>();
  for (const auto& [index, cause] : Member(Member(json, "details"), "causes").items()) {
    const std::string text = TextOf(cause, "message");
    if (TextOf(cause, "reason") == "DisruptionBudget" && !text.empty()) {
      refusal.budgets += (refusal.budgets.empty() ? "" : "; ") + text;
    }
  }
  refusal.budgets = Bounded(refusal.budgets, kLongestText);
  return refusal;
}

}  // namespace gpuhost::kube
