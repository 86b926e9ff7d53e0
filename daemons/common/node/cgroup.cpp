// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/node/cgroup.h"

#include <optional>
#include <sstream>

namespace gpuhost::node {
namespace {

// The path in the hierarchy by which systemd sorts services: its own of cgroup v1 where there is
// one ("1:name=systemd:/system.slice/x.service"), which is so in hybrid mode, too, else that of
// cgroup v2 ("0::/system.slice/x.service").
std::optional<std::string> PathIn(std::string_view text) {
  std::optional<std::string> unified;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string kind = line.substr(0, second);
    if (kind.ends_with(":name=systemd")) return line.substr(second + 1);
    if (kind == "0:") unified = line.substr(second + 1);
  }
  return unified;
}

}  // namespace

std::string UnitIn(std::string_view process, std::string_view init) {
  const auto path = PathIn(process);
  auto root = PathIn(init);
  if (!path || !root) return "";
  constexpr std::string_view kInit = "/init.scope";
  if (root->ends_with(kInit)) root->resize(root->size() - kInit.size());
  if (root->ends_with('/')) root->pop_back();
  if (!path->starts_with(*root + "/")) return "";
  std::istringstream parts(path->substr(root->size() + 1));
  for (std::string part; std::getline(parts, part, '/');) {
    if (part.ends_with(".service")) return part;
    if (!part.ends_with(".slice")) return "";
  }
  return "";
}

}  // namespace gpuhost::node
