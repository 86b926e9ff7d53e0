// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/toml.h"

#include <toml++/toml.h>

#include <sstream>

#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

void Add(Flat& flat, const std::string& key, const toml::node& node) {
  if (const auto* table = node.as_table()) {
    for (const auto& [name, value] : *table) {
      const std::string part = TomlKey(name.str());
      Add(flat, key.empty() ? part : key + "." + part, value);
    }
  } else if (const auto* array = node.as_array()) {
    if (array->empty()) flat[key] = "[]";
    for (size_t i = 0; i < array->size(); ++i) {
      Add(flat, fmt::format("{}[{}]", key, i), *array->get(i));
    }
  } else if (const auto* text = node.as_string()) {
    flat[key] = Quoted(text->get());
  } else {
    std::ostringstream value;
    node.visit([&value](const auto& concrete) { value << concrete; });
    flat[key] = value.str();
  }
}

absl::Status Refuse(const std::string& name, const toml::source_position& at,
                    std::string_view text) {
  return Error(absl::StatusCode::kInvalidArgument, "{}:{}:{}: {}", name, at.line, at.column, text);
}

absl::StatusOr<toml::table> Parse(const std::string& name, const std::string& text) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Refuse(name, error.source().begin, error.description());
  }
}

// toml++ counts lines and code points from 1.
size_t Offset(const std::string& text, const toml::source_position& at) {
  size_t offset = 0;
  for (toml::source_index line = 1; line < at.line; ++line) {
    const size_t newline = text.find('\n', offset);
    if (newline == std::string::npos) return text.size();
    offset = newline + 1;
  }
  const auto is_tail = [&](size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  for (toml::source_index column = 1; column < at.column && offset < text.size(); ++column) {
    ++offset;
    while (offset < text.size() && is_tail(offset)) ++offset;
  }
  return offset;
}

Span SpanOf(const std::string& text, const toml::node& node) {
  return {Offset(text, node.source().begin), Offset(text, node.source().end)};
}

}  // namespace

absl::StatusOr<Flat> Flatten(const std::string& name, const std::string& text) {
  GPUHOST_ASSIGN(const toml::table table, Parse(name, text));
  Flat flat;
  Add(flat, "", table);
  return flat;
}

absl::StatusOr<MainFile> ReadMainFile(const std::string& name, const std::string& text) {
  GPUHOST_ASSIGN(const toml::table table, Parse(name, text));
  MainFile main;
  if (const toml::node* version = table.get("version")) {
    const auto number = version->value_exact<int64_t>();
    if (!number || *number < 0 || *number > 99) {
      return Refuse(name, version->source().begin, "version must be a number");
    }
    main.version = std::max(1, static_cast<int>(*number));
    main.version_at = SpanOf(text, *version);
  }
  if (const toml::node* imports = table.get("imports")) {
    const auto* array = imports->as_array();
    if (array == nullptr) return Refuse(name, imports->source().begin, "imports must be a list");
    main.array = SpanOf(text, *imports);
    for (const toml::node& element : *array) {
      const auto* path = element.as_string();
      if (path == nullptr) return Refuse(name, element.source().begin, "a path must be a text");
      main.imports.push_back({path->get(), SpanOf(text, element)});
    }
  }
  return main;
}

}  // namespace gpuhost::kata_manager
