// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace gpuhost::bench {

// What is measured beside what it may be, one line each, on stdout.
class Table {
 public:
  void Heading(std::string_view text);
  // `measured` and `budget` in `unit`; more than the budget is marked, and fails the whole.
  void Row(std::string_view what, double budget, double measured, std::string_view unit);
  // For what has no budget.
  void Row(std::string_view what, double measured, std::string_view unit);
  // Something could not be measured: `why` says what was waited for.
  void Failed(std::string_view what, std::string_view why);

  int exit_status() const { return failed_ ? 1 : 0; }

 private:
  bool failed_ = false;
};

}  // namespace gpuhost::bench
