// SPDX-License-Identifier: Apache-2.0
//
// What travels: the few parts of the API's objects that gpuhost reads or writes.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gpuhost::kube {

using Labels = std::map<std::string, std::string>;

// Amounts of resources by name, as Kubernetes writes them: "2", "10240Mi", "500m".
using Quantities = std::map<std::string, std::string>;

// What is to become of some labels: a value, or nothing to remove it. Others stay as they are.
using LabelPatch = std::map<std::string, std::optional<std::string>>;

struct Node {
  std::string name;
  std::string uid;               // another one: deleted and created anew under the same name
  std::string resource_version;  // opaque; equal means unchanged
  Labels labels;
  Labels annotations;
  Quantities allocatable;  // to pods, by its status
};

// kDataLoss when `body` is no node.
absl::StatusOr<Node> ParseNode(std::string_view body);

// The server's version, "v1.34.2". kDataLoss when `body` is no version.
absl::StatusOr<std::string> ParseServerVersion(std::string_view body);

// What is to become of a node's labels and annotations.
struct NodePatch {
  LabelPatch labels;
  LabelPatch annotations;
  // Nobody must have changed the node since it had this version, else 409 (kAborted) and nothing is
  // changed; "": whatever has happened.
  std::string resource_version = {};
};

// OK for a key that gpuhost may write: "nvidia.com/" and a name as Kubernetes wants it. Else
// kInvalidArgument.
absl::Status CheckOurs(std::string_view key);

// A JSON merge patch (RFC 7386) of metadata: ours alone are set, whatever happened to the others
// meanwhile, unless the patch says otherwise. kInvalidArgument when a key is not ours.
absl::StatusOr<std::string> MergePatch(const NodePatch& patch);

// What a list of one node says: the node, unless there is none, and where to watch from.
struct NodeList {
  std::optional<Node> node;
  std::string resource_version;
};
// The node called `name` among those of the list: whoever is between may not know field selectors.
absl::StatusOr<NodeList> ParseNodeList(std::string_view body, const std::string& name);

// One line of a watch.
struct NodeEvent {
  enum class Kind { kChanged, kDeleted, kBookmark } kind;
  Node node;  // of a bookmark, only the resource version
};
// kOutOfRange for the event that the watched version is too old, kUnavailable for any other event
// of type ERROR, kDataLoss for what is no event.
absl::StatusOr<NodeEvent> ParseWatchLine(std::string_view line);

// `text`, or the longest beginning of it that has at most `limit` bytes and does not cut a
// character; what is not UTF-8 is replaced first.
std::string Bounded(std::string_view text, size_t limit);

// A Status object that stands for a failure, which the server sends instead of what was asked for.
struct Refusal {
  int code = 0;         // as it says itself; 0: `body` is no such object
  std::string message;  // at most 1024 bytes, as the next one
  std::string budgets;  // what each PodDisruptionBudget that is in the way says
};
Refusal ParseRefusal(std::string_view body);

}  // namespace gpuhost::kube
