// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/json.h"

#include <nlohmann/json.hpp>

namespace gpuhost::node_validator {
namespace {

using nlohmann::ordered_json;

ordered_json OrNull(std::string_view text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

}  // namespace

std::string RenderReportJson(const Report& report) {
  ordered_json checks = ordered_json::array();
  for (const Line& line : report.lines) {
    const bool fine = line.finding.state == State::kPass || line.finding.state == State::kSkipped;
    checks.push_back({{"id", line.check->id},
                      {"group", line.group},
                      {"subject", OrNull(line.finding.subject)},
                      {"severity", ToString(line.severity)},
                      {"result", ToString(line.finding.state)},
                      {"observed", line.finding.observed},
                      {"expected", line.expected()},
                      {"remedy", fine ? ordered_json(nullptr) : ordered_json(line.remedy())},
                      {"evidence", OrNull(line.finding.evidence)},
                      {"because_of", OrNull(line.follows)}});
  }
  ordered_json causes = ordered_json::array();
  for (const Line* line : report.Causes()) causes.push_back(line->check->id);
  const ordered_json json{
      {"schema", 1},
      {"node", report.node},
      {"workload", report.workload == Workload::kConfidential ? "confidential" : "passthrough"},
      {"technology", OrNull(report.technology)},
      {"captured", report.captured},
      {"superuser", report.superuser},
      {"verdict", ToString(VerdictOf(report))},
      {"causes", causes},
      {"checks", checks}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gpuhost::node_validator
