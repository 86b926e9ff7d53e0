// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemons/node-validator/report/report.h"

namespace gpuhost::node_validator {

struct Style {
  bool colour = false;
  size_t width = 80;  // columns of the terminal; texts are wrapped, at 100 at most
  bool all = false;   // also what passed, line by line
};

// For a person: what was found, group by group; then what to do, in order; the verdict last.
std::string RenderText(const Report& report, const Style& style);

// All checks, an id and a title each; grouped.
std::string RenderList(const Style& style);

// One check: what it asks, what it expects, why, what to do.
std::string RenderExplanation(const Check& check, const Style& style);

}  // namespace gpuhost::node_validator
