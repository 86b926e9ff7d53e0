// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gpuhost {

// `text` in double quotes, as JSON, TOML (basic string) and YAML all read it back.
std::string Quoted(std::string_view text);

}  // namespace gpuhost
