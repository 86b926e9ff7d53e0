// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "libgpuhost/base/quote.h"

namespace gpuhost::node_validator {
namespace {

// `between` a key and its value; TOML's inline tables and JSON differ in nothing else.
std::string Inline(const Value& value, std::string_view between) {
  if (const auto* flag = std::get_if<bool>(&value.data)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<int64_t>(&value.data)) return fmt::format("{}", *number);
  if (const auto* number = std::get_if<double>(&value.data)) return fmt::format("{:#}", *number);
  if (const std::string* text = value.AsText()) return Quoted(*text);
  std::string all;
  if (const Value::List* list = value.AsList()) {
    for (const Value& member : *list) all += (all.empty() ? "" : ", ") + Inline(member, between);
    return "[" + all + "]";
  }
  if (const Value::Table* table = value.AsTable()) {
    for (const auto& [key, member] : *table) {
      all += fmt::format("{}{}{}{}", all.empty() ? "" : ", ", Quoted(key), between,
                         Inline(member, between));
    }
    return "{" + all + "}";
  }
  return between == ": " ? "null" : "\"\"";
}

void AppendToml(const Value::Table& table, const std::string& path, std::string& text) {
  for (const auto& [key, value] : table) {
    if (value.AsTable() == nullptr) {
      text += fmt::format("{} = {}\n", Quoted(key), Inline(value, " = "));
    }
  }
  for (const auto& [key, value] : table) {
    if (value.AsTable() == nullptr) continue;
    const std::string inner = path.empty() ? Quoted(key) : path + "." + Quoted(key);
    text += fmt::format("\n[{}]\n", inner);
    AppendToml(*value.AsTable(), inner, text);
  }
}

template <typename T>
std::optional<T> As(const Value* value) {
  const T* found = value == nullptr ? nullptr : std::get_if<T>(&value->data);
  return found == nullptr ? std::nullopt : std::optional<T>(*found);
}

}  // namespace

const Value* Value::Find(std::span<const std::string_view> path) const {
  const Value* at = this;
  for (const std::string_view key : path) {
    const Table* table = at->AsTable();
    const auto member = table == nullptr ? Table::const_iterator() : table->find(key);
    if (table == nullptr || member == table->end()) return nullptr;
    at = &member->second;
  }
  return at;
}

std::optional<std::string> Value::Text(Path path) const { return As<std::string>(Find(path)); }
std::optional<bool> Value::Bool(Path path) const { return As<bool>(Find(path)); }
std::optional<int64_t> Value::Integer(Path path) const { return As<int64_t>(Find(path)); }

std::vector<std::string> Value::Texts(Path path) const {
  std::vector<std::string> texts;
  const Value* value = Find(path);
  if (value == nullptr || value->AsList() == nullptr) return texts;
  for (const Value& member : *value->AsList()) {
    if (member.AsText() != nullptr) texts.push_back(*member.AsText());
  }
  return texts;
}

const Value::Table& Value::TableAt(Path path) const {
  static const Table empty;
  const Value* value = Find(path);
  return value == nullptr || value->AsTable() == nullptr ? empty : *value->AsTable();
}

std::string RenderToml(const Value& table) {
  std::string text;
  if (table.AsTable() != nullptr) AppendToml(*table.AsTable(), "", text);
  return text;
}

std::string RenderJson(const Value& value) { return Inline(value, ": ") + "\n"; }

void Merge(Value& base, const Value& over, bool join_lists) {
  Value::Table* into = base.AsTable();
  const Value::Table* from = over.AsTable();
  if (into == nullptr || from == nullptr) {
    auto* list = std::get_if<Value::List>(&base.data);
    if (!join_lists || list == nullptr || over.AsList() == nullptr) {
      base = over;
      return;
    }
    for (const Value& member : *over.AsList()) {
      if (std::ranges::find(*list, member) == list->end()) list->push_back(member);
    }
    return;
  }
  for (const auto& [key, value] : *from) {
    const auto [member, added] = into->try_emplace(key, value);
    if (!added) Merge(member->second, value, join_lists);
  }
}

}  // namespace gpuhost::node_validator
