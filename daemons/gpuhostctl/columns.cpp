// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/columns.h"

#include <fmt/format.h>

#include <algorithm>

namespace gpuhost::gpuhostctl {

std::string Columns(const std::vector<std::vector<std::string>>& lines) {
  if (lines.empty()) return "";
  std::vector<size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) row += fmt::format("{:<{}}  ", line[i], widths[i]);
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace gpuhost::gpuhostctl
