// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "daemons/node-validator/observe/value.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

using nlohmann::json;

constexpr int kDeepest = 64;

// False when it is nested too deeply.
bool Convert(const json& node, int depth, Value& value) {
  if (depth > kDeepest) return false;
  if (node.is_string()) {
    value = Value(node.get<std::string>());
  } else if (node.is_boolean()) {
    value = Value(node.get<bool>());
  } else if (node.is_number_integer()) {
    value = Value(node.get<int64_t>());
  } else if (node.is_number()) {
    value = Value(node.get<double>());
  } else if (node.is_array()) {
    Value::List list(node.size());
    for (size_t i = 0; i < node.size(); ++i) {
      if (!Convert(node[i], depth + 1, list[i])) return false;
    }
    value = Value(std::move(list));
  } else if (node.is_object()) {
    Value::Table table;
    for (const auto& [key, member] : node.items()) {
      if (!Convert(member, depth + 1, table[key])) return false;
    }
    value = Value(std::move(table));
  }
  return true;
}

}  // namespace

absl::StatusOr<Value> ParseJson(std::string_view text) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  Value value;
  if (!parsed.is_object() || !Convert(parsed, 0, value)) {
    return absl::InvalidArgumentError("it is no JSON object");
  }
  return value;
}

}  // namespace gpuhost::node_validator
