// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>

namespace gpuhost::kata_manager {

// OK when a handler, and so a RuntimeClass, can be called this: a DNS-1123 label, and none of the
// names that others own (runc, crun, nvidia...). Else kInvalidArgument.
absl::Status CheckHandlerName(std::string_view name);

// A key of TOML, in quotes where it needs them.
std::string TomlKey(std::string_view key);
// Whether YAML, of version 1.1 or 1.2, calls `word` a number, a truth value or nothing.
bool IsYamlNumberOrBool(std::string_view word);
// Whether `word` is an integer, a decimal fraction or a truth value in TOML.
bool IsTomlNumberOrBool(std::string_view word);

}  // namespace gpuhost::kata_manager
