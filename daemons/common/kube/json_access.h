// SPDX-License-Identifier: Apache-2.0
//
// For the files here that read or write JSON: nothing that a server sends may throw.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "daemons/common/kube/json.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kube {

using Json = nlohmann::json;

inline Json ParseJson(std::string_view text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// The member, or null where `object` has none.
inline const Json& Member(const Json& object, const char* key) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

inline std::string TextOf(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

// The members of `object` that are texts.
inline Labels LabelsOf(const Json& object) {
  Labels labels;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

// What is not UTF-8 is replaced, for the server would refuse it.
inline std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// kDataLoss: `body` is not what was asked for.
inline absl::Status NoAnswer(std::string_view wanted, std::string_view body) {
  return Error(absl::StatusCode::kDataLoss, "read {}: the answer is none but '{}'", wanted,
               body.substr(0, 80));
}

}  // namespace gpuhost::kube
