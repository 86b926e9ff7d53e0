// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "daemons/common/kube/json.h"

namespace gpuhost::kube {

// What gpuhost wants to know of a pod.
struct Pod {
  std::string name;
  std::string name_space;
  std::string uid;  // a pod of the same name and another uid is another pod
  std::string node;
  std::string phase;  // Pending, Running, Succeeded, Failed, Unknown
  Labels labels;
  bool terminating = false;    // it has a deletion timestamp
  bool mirror = false;         // the image of a static pod: evicting it stops nothing
  bool of_daemon_set = false;  // evicting it brings it back on this node
  // Extended resources under "nvidia.com/", by their whole name: what its containers ask for
  // together, or one of its init containers if that is more. An amount that is no plain number
  // counts as 1.
  std::map<std::string, uint64_t> gpus;

  // Its containers have ended and hold nothing any more.
  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
};

// One page of a list.
struct PodPage {
  std::vector<Pod> pods;
  std::string next;  // asks for the next page; empty: this was the last one
};
// kDataLoss for what is no list of pods.
absl::StatusOr<PodPage> ParsePodPage(std::string_view body);

// The request to evict exactly this pod, policy/v1.
std::string EvictionOf(const Pod& pod);

}  // namespace gpuhost::kube
