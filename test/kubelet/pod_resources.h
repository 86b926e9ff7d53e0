// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpuhost::kubelet {

// What one container has of one resource.
struct Assigned {
  std::string pod_namespace;
  std::string pod;
  std::string container;
  std::string resource;
  std::vector<std::string> ids;
};

// The kubelet's pod-resources API over real gRPC, with the pods that it is told.
class PodResources {
 public:
  // kUnavailable when `socket` cannot be served.
  static absl::StatusOr<std::unique_ptr<PodResources>> Start(const std::string& socket);
  ~PodResources();

  // What is answered from now on.
  void Set(std::vector<Assigned> assigned);
  // From now on each question is refused like this, until OK is given.
  void Refuse(absl::Status refusal);
  // Called on a thread of the server before each answer.
  void OnList(std::function<void()> hook);

 private:
  class Lister;
  explicit PodResources(std::unique_ptr<Lister> lister);
  std::unique_ptr<Lister> lister_;
};

}  // namespace gpuhost::kubelet
