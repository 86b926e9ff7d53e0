// SPDX-License-Identifier: Apache-2.0
#include <toml++/toml.h>

#include "daemons/node-validator/observe/value.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// toml++ limits the depth of what it parses.
Value Convert(const toml::node& node) {
  if (const auto* text = node.as_string()) return Value(text->get());
  if (const auto* number = node.as_integer()) return Value(number->get());
  if (const auto* flag = node.as_boolean()) return Value(flag->get());
  if (const auto* number = node.as_floating_point()) return Value(number->get());
  if (const auto* array = node.as_array()) {
    Value::List list;
    for (const toml::node& member : *array) list.push_back(Convert(member));
    return Value(std::move(list));
  }
  if (const auto* members = node.as_table()) {
    Value::Table table;
    for (const auto& [key, member] : *members) table[std::string(key.str())] = Convert(member);
    return Value(std::move(table));
  }
  return Value();  // dates; no file that is read here has any
}

}  // namespace

absl::StatusOr<Value> ParseToml(std::string_view text) {
  try {
    return Convert(toml::parse(text));
  } catch (const toml::parse_error& error) {
    return Error(absl::StatusCode::kInvalidArgument, "line {}, column {}: {}",
                 error.source().begin.line, error.source().begin.column, error.description());
  }
}

}  // namespace gpuhost::node_validator
