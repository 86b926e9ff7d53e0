// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/event.h"

#include <fmt/chrono.h>

#include "daemons/common/kube/json_access.h"

namespace gpuhost::kube {
namespace {

constexpr size_t kLongestMessage = 1024;
constexpr size_t kLongestReason = 128;
constexpr size_t kLongestPrefix = 57;  // of a generated name, for the server cuts longer ones

// A generated name must be valid with 'a' in the place of "-" and what the server appends.
std::string NamePrefix(const std::string& node) {
  std::string prefix = node.substr(0, kLongestPrefix);
  while (!prefix.empty() && (prefix.back() == '.' || prefix.back() == '-')) prefix.pop_back();
  return prefix + "-";
}

}  // namespace

std::string EventOf(const Node& node, const NodeNotice& notice, std::time_t now) {
  const std::string time = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
  const bool normal = notice.type == NodeNotice::Type::kNormal;
  return Dump({{"apiVersion", "v1"},
               {"kind", "Event"},
               {"metadata", {{"generateName", NamePrefix(node.name)}, {"namespace", "default"}}},
               {"involvedObject",
                {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node.name}, {"uid", node.uid}}},
               {"type", normal ? "Normal" : "Warning"},
               {"reason", Bounded(notice.reason, kLongestReason)},
               {"message", Bounded(notice.message, kLongestMessage)},
               {"source", {{"component", notice.component}, {"host", node.name}}},
               {"reportingComponent", notice.component},
               {"reportingInstance", node.name},
               {"firstTimestamp", time},
               {"lastTimestamp", time},
               {"count", 1}});
}

}  // namespace gpuhost::kube
