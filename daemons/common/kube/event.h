// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <string>

#include "daemons/common/kube/json.h"

namespace gpuhost::kube {

// What `kubectl describe node` shows of us.
struct NodeNotice {
  enum class Type { kNormal, kWarning } type = Type::kNormal;
  std::string reason;     // one word in CamelCase, for machines
  std::string message;    // for people; cut at 1024 bytes, which is what the server takes
  std::string component;  // who says it: "cc-manager"
};

// A core/v1 Event on the node, first and last seen at `now`.
std::string EventOf(const Node& node, const NodeNotice& notice, std::time_t now);

}  // namespace gpuhost::kube
