// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace gpuhost::gpuhostctl {

// Lines of cells, as wide as the widest of each column, two blanks apart; no blanks at the end of a
// line. All lines have as many cells as the first.
std::string Columns(const std::vector<std::vector<std::string>>& lines);

}  // namespace gpuhost::gpuhostctl
