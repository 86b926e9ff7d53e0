// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/kube/node_watch.h"

namespace gpuhost::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFirstPause = milliseconds(200), kLastPause = seconds(30);
constexpr int kShortestWatch = 300, kLongestWatch = 600;  // seconds
constexpr Duration kHealthy = seconds(1);  // a watch that ends sooner counts as broken

}  // namespace

NodeWatch::NodeWatch(Client client, std::string node, Clock& clock, uint32_t seed,
                     Callbacks callbacks)
    : client_(std::move(client)),
      node_(std::move(node)),
      clock_(clock),
      callbacks_(std::move(callbacks)),
      backoff_(kFirstPause, kLastPause, seed),
      random_(seed) {}

Duration NodeWatch::WatchLimit() {
  return seconds(std::uniform_int_distribution<int>(kShortestWatch, kLongestWatch)(random_));
}

void NodeWatch::Follow() {
  while (true) {
    const absl::Status ended = ListAndWatch();
    if (absl::IsCancelled(ended)) return;
    if (ended.ok()) continue;
    callbacks_.on_error(ended);
    if (!callbacks_.pause(backoff_.Next(RetryAfter(ended)))) return;
  }
}

absl::Status NodeWatch::ListAndWatch() {
  const auto list = client_.ListNode(node_);
  if (!list.ok()) return list.status();
  callbacks_.on_node(list->node);
  const TimePoint start = clock_.Now();
  bool heard = false;
  const absl::Status ended =
      client_.WatchNode(node_, list->resource_version, WatchLimit(), [&](const NodeEvent& event) {
        heard = true;
        if (event.kind == NodeEvent::Kind::kChanged) callbacks_.on_node(event.node);
        if (event.kind == NodeEvent::Kind::kDeleted) callbacks_.on_node(std::nullopt);
        return absl::OkStatus();
      });
  const bool healthy = heard || clock_.Now() - start >= kHealthy;
  if (healthy) backoff_.Reset();
  if (ended.ok() && !healthy) return absl::UnavailableError("the server ended the watch at once");
  return ended;
}

}  // namespace gpuhost::kube
