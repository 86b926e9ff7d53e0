// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/options.h"
#include "daemons/node-validator/run.h"

int main(int argc, char** argv) {
  using namespace gpuhost::node_validator;

  const auto parsed = ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<Options>(parsed);
  if (options.list) return ListChecks(options);
  if (!options.explain.empty()) return Explain(options);
  if (options.component) return ValidateOne(options);
  return ValidateNode(options);
}
