// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/state.h"

namespace gpuhost::apiserver {

Answer State::Reply(const Query& query) {
  const std::string what = query.verb + " " + query.resource;
  if (what == "get nodes") return store.Get(query.name);
  if (what == "list nodes") {
    return store.List(query.name, query.Parameter("resourceVersionMatch"),
                      query.Parameter("resourceVersion"));
  }
  if (what == "patch nodes") {
    return query.content_type == "application/merge-patch+json"
               ? store.Patch(query.name, query.body)
               : Failure(415, "UnsupportedMediaType", "415: Unsupported Media Type");
  }
  if (what == "delete nodes") return store.Delete(query.name);
  if (what == "get pods") return pods.Get(query);
  if (what == "list pods") return pods.List(query);
  if (what == "delete pods") return pods.Delete(query);
  if (what == "create pods/eviction") return pods.Evict(query);
  if (what == "create events") return events.Create(query);
  if (what == "list events") return events.List(query);
  return Failure(404, "NotFound", "the server could not find the requested resource");
}

}  // namespace gpuhost::apiserver
