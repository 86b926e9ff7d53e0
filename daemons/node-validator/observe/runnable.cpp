// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/runnable.h"

#include <algorithm>

#include "daemons/node-validator/observe/artefact.h"

namespace gpuhost::node_validator {

std::string RunnableProgram(const Tree& tree, const std::vector<std::string>& places,
                            const std::optional<Process>& process) {
  if (process && process->replaced) return "";
  for (const std::string& place : places) {
    if (!place.starts_with('/') || !tree.Exists(place)) continue;
    const bool fits =
        !process || process->program == place || process->program == FollowLinks(tree, place);
    if (fits) return place;
  }
  return "";
}

std::string ProgramOf(std::string_view exec_start) {
  const size_t begin = exec_start.find_first_not_of("@-:+!| \t");
  if (begin == std::string_view::npos || exec_start[begin] != '/') return "";
  const size_t end = std::min(exec_start.find_first_of(" \t", begin), exec_start.size());
  return std::string(exec_start.substr(begin, end - begin));
}

}  // namespace gpuhost::node_validator
