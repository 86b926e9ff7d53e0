// SPDX-License-Identifier: Apache-2.0
#include "test/bench/table.h"

#include <fmt/format.h>

namespace gpuhost::bench {

void Table::Heading(std::string_view text) {
  fmt::print("{:<56} {:>11} {:>11}\n", text, "budget", "measured");
}

void Table::Row(std::string_view what, double budget, double measured, std::string_view unit) {
  const bool fine = measured <= budget;
  failed_ |= !fine;
  fmt::print("  {:<54} {:7.2f} {:<3} {:7.2f} {:<3}{}\n", what, budget, unit, measured, unit,
             fine ? "" : " TOO MUCH");
}

void Table::Row(std::string_view what, double measured, std::string_view unit) {
  fmt::print("  {:<54} {:>11} {:7.2f} {:<3}\n", what, "", measured, unit);
}

void Table::Failed(std::string_view what, std::string_view why) {
  failed_ = true;
  fmt::print("  {:<54} {}\n", what, why);
}

}  // namespace gpuhost::bench
