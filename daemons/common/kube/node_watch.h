// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/common/kube/backoff.h"
#include "daemons/common/kube/client.h"

namespace gpuhost::kube {

// Keeps up with one node for as long as the process lives: lists it, watches it from there, and
// begins anew with a list whenever the watch ends, as it does every five to ten minutes. Going on
// from the last version instead would be deaf once etcd has come back from a backup: a watch from a
// version that is ahead of the server's is accepted and says nothing (Kubernetes 1.37.2). Never
// gives up.
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
  // One list and the watch that starts from it; why that ended.
  absl::Status ListAndWatch();
  Duration WatchLimit();

  Client client_;
  std::string node_;
  Clock& clock_;
  Callbacks callbacks_;
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace gpuhost::kube
