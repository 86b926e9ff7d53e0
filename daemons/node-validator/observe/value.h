// SPDX-License-Identifier: Apache-2.0
//
// What a configuration file says, whichever language it is written in.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gpuhost::node_validator {

class Value {
 public:
  using Table = std::map<std::string, Value, std::less<>>;
  using List = std::vector<Value>;
  using Path = std::initializer_list<std::string_view>;

  Value() = default;
  template <typename T>
  explicit Value(T value) : data(std::move(value)) {}

  // What is at the end of the keys; nullptr where there is nothing or something else on the way.
  const Value* Find(Path path) const { return Find(std::span(path.begin(), path.size())); }
  const Value* Find(std::span<const std::string_view> path) const;
  // The same as one type; empty also when it is of another.
  std::optional<std::string> Text(Path path) const;
  std::optional<bool> Bool(Path path) const;
  std::optional<int64_t> Integer(Path path) const;
  std::vector<std::string> Texts(Path path) const;  // those members of a list that are texts
  const Table& TableAt(Path path) const;            // empty where there is none

  Table* AsTable() { return std::get_if<Table>(&data); }
  const Table* AsTable() const { return std::get_if<Table>(&data); }
  const List* AsList() const { return std::get_if<List>(&data); }
  const std::string* AsText() const { return std::get_if<std::string>(&data); }
  bool operator==(const Value&) const = default;

  std::variant<std::monostate, bool, int64_t, double, std::string, List, Table> data;
};

// The file as a table. kInvalidArgument, with line and column where the language tells them, for
// what cannot be parsed, is no table, or is nested or repeated beyond all reason.
absl::StatusOr<Value> ParseToml(std::string_view text);
absl::StatusOr<Value> ParseYaml(const std::string& text);
absl::StatusOr<Value> ParseJson(std::string_view text);

// Text that is parsed to the same again. JSON is YAML, too.
std::string RenderToml(const Value& table);
std::string RenderJson(const Value& value);

// Puts `over` on `base`, table by table; everything else of `over` replaces what was there. Lists
// are joined, without repetition, where `join_lists`.
void Merge(Value& base, const Value& over, bool join_lists);

}  // namespace gpuhost::node_validator
