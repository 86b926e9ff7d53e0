// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/events.h"

#include <fmt/format.h>

namespace gpuhost::apiserver {
namespace {

Answer Invalid(const std::string& name, const std::string& why) {
  return Failure(422, "Invalid", fmt::format("Event \"{}\" is invalid: {}", name, why));
}

}  // namespace

// The checks that an event of ours could fail.
Answer Events::Create(const Query& query) {
  Json event = Json::parse(query.body, nullptr, false);
  if (!event.is_object() || !event.contains("metadata") || !event.contains("involvedObject")) {
    return Failure(400, "BadRequest", "error decoding");
  }
  Json& metadata = event["metadata"];
  const std::string prefix = metadata.value("generateName", "");
  if (!metadata.contains("name")) metadata["name"] = fmt::format("{}{:05}", prefix, events_.size());
  if (metadata.value("namespace", "") != query.name_space) {
    return Failure(400, "BadRequest",
                   "the namespace of the provided object does not match the namespace sent on the "
                   "request");
  }
  if (event["involvedObject"].value("namespace", "").empty() && query.name_space != "default") {
    return Invalid(metadata["name"], "involvedObject.namespace: does not match event.namespace");
  }
  events_.push_back(event);
  return {.code = 201, .body = event};
}

Answer Events::List(const Query& query) const {
  Json items = Json::array();
  for (const Json& event : events_) {
    if (query.name_space.empty() || event["metadata"]["namespace"] == query.name_space) {
      items.push_back(event);
    }
  }
  return {.body = {{"kind", "EventList"},
                   {"apiVersion", "v1"},
                   {"metadata", {{"resourceVersion", "1"}}},
                   {"items", items}}};
}

std::vector<std::string> Events::Texts() const {
  std::vector<std::string> texts;
  for (const Json& event : events_) texts.push_back(event.dump());
  return texts;
}

}  // namespace gpuhost::apiserver
