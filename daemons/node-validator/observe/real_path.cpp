// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/real_path.h"

#include <algorithm>

namespace gpuhost::node_validator {

std::string RealPath(const Tree& tree, const std::string& path) {
  constexpr int kMostLinks = 40;
  std::string real, rest = path;
  for (int links = 0; !rest.empty();) {
    const size_t end = std::min(rest.find('/', 1), rest.size());
    const std::string part = rest.substr(0, end);
    rest.erase(0, end);
    if (part == "/" || part == "/.") continue;
    if (part == "/..") {
      real.erase(real.empty() ? 0 : real.rfind('/'));
      continue;
    }
    const auto target = tree.Link(real + part);
    if (!target.ok() || ++links > kMostLinks) {
      real += part;
      continue;
    }
    if (target->starts_with('/')) real.clear();
    rest = (target->starts_with('/') ? "" : "/") + *target + rest;
  }
  return real;
}

}  // namespace gpuhost::node_validator
