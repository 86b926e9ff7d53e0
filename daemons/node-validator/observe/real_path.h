// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/tree.h"

namespace gpuhost::node_validator {

// The path without links on its way, as far as it is there: two paths with the same one lead to the
// same file.
std::string RealPath(const Tree& tree, const std::string& path);

}  // namespace gpuhost::node_validator
