// SPDX-License-Identifier: Apache-2.0
//
// What has to be known of TOML documents that are not ours. They are never written from what was
// parsed: only places for changes are taken from here, so that comments and order stay.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpuhost::kata_manager {

// A document as dotted keys (parts in quotes where they need them) and values as TOML writes them.
// Elements of arrays have a number in brackets; an empty array is "[]". Empty tables are left out.
using Flat = std::map<std::string, std::string>;

// kInvalidArgument with line and column when it is no TOML. `name` stands for the document there.
absl::StatusOr<Flat> Flatten(const std::string& name, const std::string& text);

// A place in a document, in bytes; `end` is behind it.
struct Span {
  size_t begin = 0, end = 0;
};

struct Import {
  std::string value;
  Span span;  // with its quotes
};

// The parts of containerd's main file that matter for adding a file to it.
struct MainFile {
  int version = 1;                 // of its schema: 1 where it does not say
  std::optional<Span> version_at;  // the value
  std::optional<Span> array;       // the value of `imports`, brackets and all
  std::vector<Import> imports;
};

// kInvalidArgument when it is no TOML, or version or imports are not what containerd takes.
absl::StatusOr<MainFile> ReadMainFile(const std::string& name, const std::string& text);

}  // namespace gpuhost::kata_manager
