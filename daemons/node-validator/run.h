// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/options.h"

namespace gpuhost::node_validator {

// Each is one thing that the program does; they print, and return its exit status.
int ListChecks(const Options& options);
int Explain(const Options& options);
int ValidateOne(const Options& options);   // a component, for the GPU Operator
int ValidateNode(const Options& options);  // with the report, and the support bundle if asked for

}  // namespace gpuhost::node_validator
