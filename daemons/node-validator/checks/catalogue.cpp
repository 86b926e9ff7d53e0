// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/checks/catalogue.h"

#include <algorithm>
#include <cctype>

#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kFatal:
      return "fatal";
    case Severity::kDegraded:
      return "degraded";
    case Severity::kInfo:
      return "info";
  }
  return "";
}

std::string_view ToString(State state) {
  switch (state) {
    case State::kPass:
      return "pass";
    case State::kFail:
      return "fail";
    case State::kUnknown:
      return "unknown";
    case State::kSkipped:
      return "skipped";
  }
  return "";
}

std::string Trouble(const absl::Status& status, const std::string& path) {
  return absl::IsNotFound(status) ? path + " is not there" : Text(status);
}

std::string Some(const std::vector<std::string>& names, size_t most) {
  std::string text;
  const size_t shown = names.size() == most + 1 ? names.size() : std::min(names.size(), most);
  for (size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == names.size();
    text += (i == 0 ? "" : last ? " and " : ", ") + names[i];
  }
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::span<const Group> Catalogue() {
  static const std::vector<Group> groups{
      ProcessorChecks(), SnpChecks(),        TdxChecks(),     IommuChecks(),    GpuChecks(),
      ModeChecks(),      ContainerdChecks(), HandlerChecks(), KataFileChecks(), KataValueChecks(),
      KubeletChecks(),   CdiChecks(),        NodeChecks(),    ClusterChecks()};
  return groups;
}

const Check* FindCheck(std::string_view id) {
  std::string wanted(id);
  for (char& c : wanted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const Group& group : Catalogue()) {
    const auto found = std::ranges::find(group.checks, wanted, &Check::id);
    if (found != group.checks.end()) return &*found;
  }
  return nullptr;
}

}  // namespace gpuhost::node_validator
