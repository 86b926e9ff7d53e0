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

// What is to become of some labels: a value, or nothing to remove it. Others stay as they are.
using LabelPatch = std::map<std::string, std::optional<std::string>>;

struct Node {
  std::string name;
  std::string resource_version;  // opaque; equal means unchanged
  Labels labels;
};

// kDataLoss when `body` is no node.
absl::StatusOr<Node> ParseNode(std::string_view body);

// A JSON merge patch (RFC 7386) of metadata.labels. Without resourceVersion: ours alone are set,
// whatever happened to the others meanwhile.
std::string MergePatch(const LabelPatch& patch);

// What a list of one node says: the node, unless there is none, and where to watch from.
struct NodeList {
  std::optional<Node> node;
  std::string resource_version;
};
absl::StatusOr<NodeList> ParseNodeList(std::string_view body);

// One line of a watch.
struct NodeEvent {
  enum class Kind { kChanged, kDeleted, kBookmark } kind;
  Node node;  // of a bookmark, only the resource version
};
// kOutOfRange for the event that the watched version is too old, kUnavailable for any other event
// of type ERROR, kDataLoss for what is no event.
absl::StatusOr<NodeEvent> ParseWatchLine(std::string_view line);

// The message of a Status object, which the server sends instead of what was asked for; empty when
// `body` is none.
std::string ParseStatusMessage(std::string_view body);

}  // namespace gpuhost::kube
