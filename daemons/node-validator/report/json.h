// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/report/report.h"

namespace gpuhost::node_validator {

// For a program; the fields are in docs/validation.md.
std::string RenderReportJson(const Report& report);

}  // namespace gpuhost::node_validator
