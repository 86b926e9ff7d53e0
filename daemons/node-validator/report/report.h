// SPDX-License-Identifier: Apache-2.0
//
// What came of all checks. Pure.
#pragma once

#include <span>

#include "daemons/node-validator/checks/check.h"

namespace gpuhost::node_validator {

struct Line {
  const Check* check = nullptr;
  std::string_view group;
  Finding finding;
  Severity severity = Severity::kFatal;  // of this finding
  // The check whose failure explains this one; empty: it stands for itself.
  std::string_view follows;

  std::string_view expected() const;
  std::string_view remedy() const;
};

struct Report {
  std::string node;
  Workload workload = Workload::kConfidential;
  std::string technology;  // "SEV-SNP"
  bool captured = false;
  bool superuser = true;
  std::vector<Line> lines;

  size_t Count(State state) const;
  // Failures that explain themselves, the fatal ones first.
  std::vector<const Line*> Causes() const;
  // Failures whose cause is one of the above.
  size_t Consequences() const;
};

// Asks all checks.
Report Judge(const Facts& facts);

// Whether a confidential GPU pod will start here.
enum class Verdict {
  kReady,
  kNotReady,  // at least one fatal finding
  kDegraded,  // a degraded finding, or a fatal check that could not be made
};
Verdict VerdictOf(const Report& report);
std::string_view ToString(Verdict verdict);

}  // namespace gpuhost::node_validator
