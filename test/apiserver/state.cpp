// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/state.h"

namespace gpuhost::apiserver {
namespace {

Answer List(const std::vector<ScriptedRuntimeClass>& classes) {
  Json items = Json::array();
  for (const ScriptedRuntimeClass& its : classes) {
    Json item{{"metadata", {{"name", its.name}}}, {"handler", its.handler}};
    if (!its.labels.empty()) item["metadata"]["labels"] = its.labels;
    if (!its.overhead.empty()) item["overhead"]["podFixed"] = its.overhead;
    if (!its.node_selector.empty()) item["scheduling"]["nodeSelector"] = its.node_selector;
    items.push_back(std::move(item));
  }
  return {.body = {{"kind", "RuntimeClassList"},
                   {"apiVersion", "node.k8s.io/v1"},
                   {"metadata", {{"resourceVersion", "1"}}},
                   {"items", std::move(items)}}};
}

}  // namespace

Answer State::Reply(const Query& query) {
  if (query.path == kVersionPath) {
    return {.body = {{"major", "1"}, {"minor", "34"}, {"gitVersion", version}}};
  }
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
  if (what == "list runtimeclasses") return List(runtime_classes);
  if (what == "list events") return events.List(query);
  return Failure(404, "NotFound", "the server could not find the requested resource");
}

}  // namespace gpuhost::apiserver
