// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/events.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "daemons/common/service/history.h"
#include "daemons/gpuhostctl/columns.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::gpuhostctl {
namespace {

std::string Utc(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  char text[32];
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string OrUnknown(const std::string& text) { return text.empty() ? "unknown" : text; }

std::string Table(const std::vector<service::ChangeRecord>& changes) {
  if (changes.empty()) return "no change of mode since this machine booted\n";
  std::vector<std::vector<std::string>> lines{
      {"ENDED", "FROM", "TO", "GPUS", "SECONDS", "ARM", "RESET", "RESULT", "TRANSITION"}};
  for (const service::ChangeRecord& change : changes) {
    lines.push_back({Utc(change.ended), OrUnknown(change.from), OrUnknown(change.to),
                     std::to_string(change.devices), fmt::format("{:.1f}", change.total),
                     fmt::format("{:.1f}", change.arm), fmt::format("{:.1f}", change.reset),
                     change.error.empty() ? "done" : "failed", change.transition});
  }
  std::string text = Columns(lines);
  for (const service::ChangeRecord& change : changes) {
    if (!change.error.empty()) text += fmt::format("{}: {}\n", change.transition, change.error);
  }
  return text;
}

std::string Json(const std::vector<service::ChangeRecord>& changes) {
  using nlohmann::ordered_json;
  ordered_json list = ordered_json::array();
  for (const service::ChangeRecord& change : changes) {
    list.push_back({{"ended", Utc(change.ended)},
                    {"transition", change.transition},
                    {"from", change.from},
                    {"to", change.to},
                    {"devices", change.devices},
                    {"seconds", change.total},
                    {"arm_seconds", change.arm},
                    {"reset_seconds", change.reset},
                    {"error", change.error}});
  }
  const ordered_json json{{"schema", 1}, {"changes", list}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::StatusOr<std::string> RenderEvents(const HostFs& fs, bool json) {
  GPUHOST_ASSIGN(const auto changes, service::ReadChanges(fs));
  return json ? Json(changes) : Table(changes);
}

}  // namespace gpuhost::gpuhostctl
