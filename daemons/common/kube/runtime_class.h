// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "daemons/common/kube/json.h"

namespace gpuhost::kube {

// By which name pods ask for a container runtime's handler. Source: Kubernetes, node.k8s.io/v1.
struct RuntimeClass {
  std::string name;
  std::string handler;
  Labels labels;
  Labels node_selector;  // of scheduling; empty: any node will do
  Quantities overhead;   // podFixed: added to what each of its pods asks for
};

// kDataLoss for what is no list of runtime classes.
absl::StatusOr<std::vector<RuntimeClass>> ParseRuntimeClasses(std::string_view body);

}  // namespace gpuhost::kube
