// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/checks/check.h"

namespace gpuhost::node_validator {

// One finding for each handler that a GPU pod on this node would use; `examine` gives it.
template <typename Examine>  // Finding(const KataRuntime&)
Findings EachRuntime(const Facts& facts, Examine examine) {
  Findings findings;
  for (const KataRuntime* runtime : facts.Runtimes()) {
    Finding finding = examine(*runtime);
    finding.subject = runtime->handler.name;
    findings.push_back(std::move(finding));
  }
  if (findings.empty()) return {Skip("no handler to look at")};
  return findings;
}

}  // namespace gpuhost::node_validator
