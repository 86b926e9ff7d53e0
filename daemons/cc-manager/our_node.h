// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "daemons/common/kube/client.h"
#include "daemons/common/kube/curl_client.h"
#include "daemons/common/kube/node_watch.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// Our node in Kubernetes, and the requests that concern it.
class OurNode {
 public:
  // `name_space` is where the operands that are not ours live. `http` and `source` must outlive it.
  OurNode(kube::HttpClient& http, kube::EndpointSource& source, std::string name,
          std::string name_space);
  ~OurNode();

  // Follows the node from now on, in a thread of its own; call once signals are blocked.
  void Follow();
  // Readable when something that concerns us may have changed, until Drain.
  int fd() const { return changed_.get(); }
  void Drain();

  // The node as last heard of; where it is not followed, as the API server says now. kNotFound: it
  // does not exist; kUnavailable: nothing has been heard yet.
  absl::StatusOr<kube::Node> Seen();
  // As the API server says now.
  absl::StatusOr<kube::Node> Now() { return client_.GetNode(name_); }
  // The node as it is then.
  absl::StatusOr<kube::Node> Patch(const kube::NodePatch& patch);
  // Pods of our node in the operands' namespace; in all namespaces.
  absl::StatusOr<std::vector<kube::Pod>> Operands();
  absl::StatusOr<std::vector<kube::Pod>> Pods();
  absl::Status Evict(const kube::Pod& pod);
  // An event beside the node; `reason` is one word. Whoever may not write events does without.
  void Tell(kube::NodeNotice::Type type, std::string_view reason, const std::string& text);

  int watch_restarts() const { return watch_restarts_; }

 private:
  void Hear(const std::optional<kube::Node>& node);
  void OnError(const absl::Status& status);

  SystemClock clock_;
  std::string name_, name_space_;
  kube::Client client_;
  UniqueFd changed_, stop_;
  kube::CurlClient watch_http_;  // of the watch alone; it ends with `stop_`
  std::mutex mutex_;
  std::optional<absl::StatusOr<kube::Node>> seen_;
  uint64_t times_heard_ = 0;  // of the watch
  absl::Status error_;
  std::atomic<int> watch_restarts_ = 0;
  bool events_allowed_ = true;
  kube::NodeWatch watch_;
  std::thread thread_;
};

}  // namespace gpuhost::cc_manager
