// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/report.h"

#include <algorithm>
#include <map>

#include "daemons/node-validator/checks/catalogue.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// By id, how bad the worst failure is.
using Failed = std::map<std::string_view, Severity>;

// The first in the chain of causes that itself follows from nothing: the one to repair.
std::string_view CauseOf(const Check& check, Severity severity, const Failed& failed) {
  for (const std::string_view id : check.after) {
    const auto found = failed.find(id);
    // What is merely degraded explains no failure that is fatal.
    if (found == failed.end() || found->second > severity) continue;
    const std::string_view deeper = CauseOf(*FindCheck(id), found->second, failed);
    return deeper.empty() ? id : deeper;
  }
  return {};
}

Findings Examine(const Group& group, const Check& check, const Facts& facts) {
  if (group.known == nullptr || group.known(facts).ok()) return check.examine(facts);
  const bool says = check.id == group.known_by;
  return {
      Unknown(says ? Text(group.known(facts)) : fmt::format("see {}", group.known_by), "/proc")};
}

std::string TechnologyOf(const Facts& facts) {
  if (facts.workload == Workload::kPassthrough) return "";
  return facts.Amd() ? "SEV-SNP" : facts.Intel() ? "TDX" : "";
}

}  // namespace

std::string_view Line::expected() const {
  return finding.expected.empty() ? check->expected : std::string_view(finding.expected);
}

std::string_view Line::remedy() const {
  return finding.remedy.empty() ? check->remedy : std::string_view(finding.remedy);
}

Report Judge(const Facts& facts) {
  Report report{.node = facts.name,
                .workload = facts.workload,
                .technology = TechnologyOf(facts),
                .superuser = facts.host.superuser};
  Failed failed;
  for (const Group& group : Catalogue()) {
    for (const Check& check : group.checks) {
      for (Finding& finding : Examine(group, check, facts)) {
        const Severity severity = finding.severity.value_or(check.severity);
        if (finding.state == State::kFail) {
          const auto known = failed.try_emplace(check.id, severity).first;
          known->second = std::min(known->second, severity);
        }
        report.lines.push_back({&check, group.title, std::move(finding), severity, {}});
      }
    }
  }
  for (Line& line : report.lines) {
    const bool matters =
        line.finding.state == State::kFail || line.finding.state == State::kUnknown;
    if (matters) line.follows = CauseOf(*line.check, line.severity, failed);
  }
  return report;
}

size_t Report::Count(State state) const {
  return static_cast<size_t>(std::ranges::count_if(
      lines, [state](const Line& line) { return line.finding.state == state; }));
}

std::vector<const Line*> Report::Causes() const {
  std::vector<const Line*> causes;
  for (const Line& line : lines) {
    if (line.finding.state == State::kFail && line.follows.empty()) causes.push_back(&line);
  }
  std::ranges::stable_sort(causes, {}, [](const Line* line) { return line->severity; });
  return causes;
}

size_t Report::Consequences() const {
  return static_cast<size_t>(std::ranges::count_if(lines, [](const Line& line) {
    return line.finding.state == State::kFail && !line.follows.empty();
  }));
}

std::string_view ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kReady:
      return "ready";
    case Verdict::kNotReady:
      return "not-ready";
    case Verdict::kDegraded:
      return "degraded";
  }
  return "";
}

Verdict VerdictOf(const Report& report) {
  Verdict verdict = Verdict::kReady;
  for (const Line& line : report.lines) {
    const bool failed = line.finding.state == State::kFail;
    const bool open = line.finding.state == State::kUnknown && line.severity == Severity::kFatal;
    if (failed && line.severity == Severity::kFatal) return Verdict::kNotReady;
    if (open || (failed && line.severity == Severity::kDegraded)) verdict = Verdict::kDegraded;
  }
  return verdict;
}

}  // namespace gpuhost::node_validator
