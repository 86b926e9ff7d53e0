// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/kube/backoff.h"
#include "daemons/common/kube/client.h"

namespace gpuhost::kube {

// Keeps up with one node for as long as the process lives: lists it, watches it from there, and
// begins anew whenever that breaks. Never gives up.
class NodeWatch {
 public:
  struct Callbacks {
    // Each new state; nothing: the node does not exist (any more). The same state may come twice.
    std::function<void(const std::optional<Node>&)> on_node;
    // What broke; another try follows.
    std::function<void(const absl::Status&)> on_error;
    // Waits; false when the process is to end.
    std::function<bool(Duration)> pause;
  };
  NodeWatch(Client client, std::string node, Clock& clock, uint32_t seed, Callbacks callbacks);

  // Returns when pause says so, or a request ends with kCancelled.
  void Follow();

 private:
  // One list and the watches that start from it; why they ended.
  absl::Status ListAndWatch();
  absl::Status Watch(std::string& resource_version);
  Duration WatchLimit();

  Client client_;
  std::string node_;
  Clock& clock_;
  Callbacks callbacks_;
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace gpuhost::kube
