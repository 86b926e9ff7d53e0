// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/yaml.h>

#include "daemons/node-validator/observe/value.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

constexpr int kDeepest = 64;
constexpr int kMostNodes = 50'000;  // an alias counts for all that it repeats

struct TooMuch {};

Value Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return Value(text);  // it was in quotes
  if (text == "true" || text == "false") return Value(text == "true");
  if (const auto number = ParseDecimal(text, INT64_MAX)) {
    return Value(static_cast<int64_t>(*number));
  }
  return Value(text);
}

Value Convert(const YAML::Node& node, int depth, int& budget) {
  if (depth > kDeepest || --budget < 0) throw TooMuch();
  if (node.IsScalar()) return Scalar(node);
  if (node.IsSequence()) {
    Value::List list;
    for (const YAML::Node& member : node) list.push_back(Convert(member, depth + 1, budget));
    return Value(std::move(list));
  }
  if (!node.IsMap()) return Value();
  Value::Table table;
  for (const auto& member : node) {
    if (!member.first.IsScalar()) throw TooMuch();
    table[member.first.Scalar()] = Convert(member.second, depth + 1, budget);
  }
  return Value(std::move(table));
}

}  // namespace

absl::StatusOr<Value> ParseYaml(const std::string& text) {
  try {
    int budget = kMostNodes;
    Value value = Convert(YAML::Load(text), 0, budget);
    if (value.AsTable() != nullptr) return value;
    return absl::InvalidArgumentError("it is no table of keys and values");
  } catch (const TooMuch&) {
    return absl::InvalidArgumentError("it is nested or repeated beyond what such a file needs");
  } catch (const YAML::Exception& error) {
    return Error(absl::StatusCode::kInvalidArgument, "line {}, column {}: {}", error.mark.line + 1,
                 error.mark.column + 1, error.msg);
  }
}

}  // namespace gpuhost::node_validator
