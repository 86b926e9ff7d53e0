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

// The message of a Status object, which the server sends instead of what was asked for; empty when
// `body` is none.
std::string ParseStatusMessage(std::string_view body);

}  // namespace gpuhost::kube
