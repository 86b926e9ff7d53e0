// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/query.h"

#include <regex>

namespace gpuhost::apiserver {

std::string Query::Selected(const std::string& key) const {
  const std::string selector = Parameter("fieldSelector");
  return selector.starts_with(key + "=") ? selector.substr(key.size() + 1) : "";
}

void Understand(Query& query) {
  static const std::regex kPath(
      "/(?:api|apis/([^/]+))/v1/(?:namespaces/([^/]+)/)?([^/]+)(?:/([^/]+))?(?:/([^/]+))?");
  std::smatch parts;
  if (!std::regex_match(query.path, parts, kPath)) return;
  query.group = parts[1];
  query.name_space = parts[2];
  query.resource = parts[3];
  query.name = parts[4];
  if (parts[5].matched) query.resource += "/" + parts[5].str();
  const bool one = !query.name.empty();
  if (query.method == "GET") query.verb = one ? "get" : "list";
  if (query.method == "GET" && query.Parameter("watch") == "true") query.verb = "watch";
  if (query.method == "POST") query.verb = "create";
  if (query.method == "PATCH") query.verb = "patch";
  if (query.method == "DELETE") query.verb = one ? "delete" : "deletecollection";
  // A list of one by its name is about that one.
  if (!one) query.name = query.Selected("metadata.name");
}

}  // namespace gpuhost::apiserver
