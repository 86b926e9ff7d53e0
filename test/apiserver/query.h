// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "test/apiserver/script.h"

namespace gpuhost::apiserver {

// Whoever is known may ask for it.
inline constexpr const char* kVersionPath = "/version";

// A request, and what it is about as the API server understands it.
struct Query {
  std::string method, path, target, token, body, content_type;
  Texts parameters;

  std::string verb;      // get, list, watch, create, patch, delete
  std::string group;     // of its API: "node.k8s.io"; empty: the core's
  std::string resource;  // "nodes", "pods/eviction"; empty: no such thing
  std::string name_space, name = {};

  std::string Parameter(const std::string& key) const {
    const auto found = parameters.find(key);
    return found == parameters.end() ? "" : found->second;
  }
  // The value in fieldSelector "KEY=value"; empty: none such.
  std::string Selected(const std::string& key) const;
};

// Fills in the lower part from the upper.
void Understand(Query& query);

}  // namespace gpuhost::apiserver
