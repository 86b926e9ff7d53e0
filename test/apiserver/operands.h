// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "test/apiserver/pods.h"

namespace gpuhost::apiserver {

// The DaemonSet controller for pods that node labels switch on and off. Knows no time: it looks
// after each request, and each operand may lag behind by a number of requests. Not safe to use from
// many threads.
class Operands {
 public:
  void Add(const Operand& operand) { operands_.push_back({operand, {}, {}}); }
  // Follows no label until it is let go.
  void Hold(bool held) { held_ = held; }
  // Looks at the labels once, `requests` being the number of requests so far.
  void Follow(const Store& nodes, Pods& pods, size_t requests);

 private:
  struct Kept {
    Operand operand;
    std::string pod;            // its name; empty: there is none
    std::optional<size_t> due;  // the number of requests at which it changes
  };
  void Switch(Kept& kept, Pods& pods);

  std::vector<Kept> operands_;
  bool held_ = false;
  int created_ = 0;
};

}  // namespace gpuhost::apiserver
