// SPDX-License-Identifier: Apache-2.0
//
// Makes files fit to be shown to strangers. What is not known to be harmless is left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gpuhost::node_validator {

// What may be shown of the file at `path`; empty: nothing. Each kind of file has a list of what is
// kept. Of configurations: keys, numbers, and the texts under keys that checks read, without
// comments; of command lines and units the words and settings that checks read. Takes time in
// proportion to the content.
std::optional<std::string> Redact(std::string_view path, const std::string& content);

}  // namespace gpuhost::node_validator
