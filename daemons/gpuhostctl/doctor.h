// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace gpuhost::gpuhostctl {

// Where node-validator is: in `own_directory`, else in one of those of `search_path` (as $PATH has
// them, with colons between). kNotFound, saying where it was looked for.
absl::StatusOr<std::string> FindValidator(const std::string& own_directory,
                                          const std::string& search_path);

// Becomes node-validator with these arguments; its exit status is this program's. Returns only when
// that failed.
absl::Status RunDoctor(const std::vector<std::string>& arguments);

}  // namespace gpuhost::gpuhostctl
