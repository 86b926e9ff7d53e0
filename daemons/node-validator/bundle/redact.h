// SPDX-License-Identifier: Apache-2.0
//
// Makes files fit to be shown to strangers. What is not known to be harmless is left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gpuhost::node_validator {

// What may be shown of the file at `path`; empty: nothing. Configurations come back without
// comments, and without values under names that sound of secrets, or of registries; of command
// lines and units only words and settings are kept that the checks read.
std::optional<std::string> Redact(std::string_view path, const std::string& content);

// Lines of free text, with what looks like a secret taken out: passwords in addresses, tokens,
// keys.
std::string RedactText(const std::string& text);

// Whether `text` still has something that looks like a secret; then it must not leave the node.
bool LooksSecret(std::string_view text);

}  // namespace gpuhost::node_validator
