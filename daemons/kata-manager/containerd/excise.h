// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace gpuhost::kata_manager::containerd {

// `text`, a main file of containerd, without the tables of these handlers: their lines go, and all
// other bytes stay. The result is parsed again and must mean what the old one did but for them.
//   kInvalidArgument     `text` is no TOML
//   kFailedPrecondition  they are written so that only a person can take them out
absl::StatusOr<std::string> WithoutHandlers(const std::string& name, const std::string& text,
                                            const std::vector<std::string>& handlers);

}  // namespace gpuhost::kata_manager::containerd
