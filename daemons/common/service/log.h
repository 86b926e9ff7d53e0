// SPDX-License-Identifier: Apache-2.0
//
// Structured log lines on stderr: a constant text, then key=value pairs.
#pragma once

#include <absl/status/status.h>
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace gpuhost::service {

enum class Level { kDebug, kInfo, kWarning, kError };

// Call it first. Lines below `lowest` are dropped, and all of them once nobody reads stderr any
// more. Under systemd (JOURNAL_STREAM) lines carry the journal's priority prefix and no time;
// elsewhere the time in UTC.
void StartLog(std::string_view program, Level lowest);

struct Field {
  template <typename T>
  Field(std::string_view name, const T& v) : key(name), value(fmt::format("{}", v)) {}
  Field(std::string_view name, const absl::Status& status);
  std::string_view key;
  std::string value;
};

// Log(kInfo, "bound", {{"bdf", bdf}, {"driver", driver}}) prints: bound bdf=0000:41:00.0 driver=...
// Values with blanks or quotes are quoted, fields without value left out.
void Log(Level level, std::string_view text, std::initializer_list<Field> fields = {});

}  // namespace gpuhost::service
