// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemons/common/kube/http.h"

namespace gpuhost::apiserver {

// Who asks, whom, about what.
struct Parties {
  kube::Endpoint admin;          // may do everything with nodes
  kube::Endpoint stranger;       // is known and may do nothing
  std::string node, other_node;  // exist, and nobody else changes them
  // On `node` are these pods of the namespace default, which run: "plain"; "guarded", whose one
  // budget "one" (1 of 1 healthy is needed) allows no disruption; "torn", which has two budgets.
  // Makes the server forget everything before that resource version, its own memory included.
  std::function<void(const std::string& resource_version)> forget;
};

// Goes through everything that our client relies on, and writes down what the server said, one line
// for each request, with all that differs between two runs left out. Two servers that behave alike
// give equal transcripts. Ends by deleting the node.
std::vector<std::string> Transcribe(const Parties& parties);

}  // namespace gpuhost::apiserver
