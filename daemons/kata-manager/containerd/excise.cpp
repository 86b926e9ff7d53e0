// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/excise.h"

#include <algorithm>

#include "daemons/kata-manager/containerd/handler.h"
#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

// The table that begins with this line, as a dotted key; empty: none does.
std::string TableOf(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos || line[begin] != '[') return "";
  const auto flat = Flatten("line", line + "\nx = 1\n");
  return flat.ok() && flat->size() == 1 ? flat->begin()->first : "";
}

// Blank, or a comment.
bool SaysNothing(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t\r\n");
  return begin == std::string::npos || line[begin] == '#';
}

bool IsBlank(const std::string& line) { return line.find_first_not_of(" \t\r\n") == line.npos; }

// Lines with their ends.
std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t newline = text.find('\n', at);
    const size_t end = newline == std::string::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

}  // namespace

absl::StatusOr<std::string> WithoutHandlers(const std::string& name, const std::string& text,
                                            const std::vector<std::string>& handlers) {
  const auto goes = [&](const std::string& key) {
    return std::ranges::find(handlers, HandlerOf(key)) != handlers.end();
  };
  GPUHOST_ASSIGN(Flat wanted, Flatten(name, text));
  std::erase_if(wanted, [&](const auto& entry) { return goes(entry.first); });
  std::vector<std::string> kept, held;  // held: behind a table that goes, of what comes next
  bool going = false;
  for (const std::string& line : LinesOf(text)) {
    const std::string table = TableOf(line);
    if (!table.empty()) going = goes(table);
    if (going) {
      if (SaysNothing(line)) {
        held.push_back(line);
      } else {
        held.clear();
      }
      continue;
    }
    // One blank line is enough where there was one before the table and one behind it.
    const bool twice =
        !held.empty() && IsBlank(held.front()) && !kept.empty() && IsBlank(kept.back());
    kept.insert(kept.end(), held.begin() + (twice ? 1 : 0), held.end());
    held.clear();
    kept.push_back(line);
  }
  if (going && held.empty() && !kept.empty() && IsBlank(kept.back())) kept.pop_back();
  kept.insert(kept.end(), held.begin(), held.end());
  const std::string result = fmt::format("{}", fmt::join(kept, ""));
  const auto flat = Flatten(name, result);
  if (flat.ok() && *flat == wanted) return result;
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: the tables of {} are not written line by line; take them out by hand", name,
               fmt::join(handlers, ", "));
}

}  // namespace gpuhost::kata_manager::containerd
