// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gpuhost::node_validator {

inline constexpr std::string_view kRemoved = "removed";  // stands where something was

// Free text, with what looks like a secret taken out:
//   - user and password in addresses, with or without a scheme, and the query of an address
//   - what follows a name that sounds of a secret ("token=x", "\"pwd\": \"x y\"", "--api-token x")
//   - what follows "Bearer" or "Basic"
//   - words with the prefixes of well-known kinds of keys, JSON Web Tokens, PEM blocks
//   - long words of capitals, small letters and digits, as random keys are
// In time proportional to the text. What comes out is not changed by a second call.
std::string RedactText(std::string_view text);

// Whether `text` still has something that looks like a secret; then it must not leave the node.
bool LooksSecret(std::string_view text);

// Whether what stands under this name, of a key, variable or option, is likely to be secret.
bool SoundsSecret(std::string_view name);

}  // namespace gpuhost::node_validator
