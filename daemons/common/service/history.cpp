// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/history.h"

#include <nlohmann/json.hpp>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

using nlohmann::ordered_json;

constexpr int kSchema = 1;

std::string Path() { return fmt::format("{}/cc-manager-changes.json", kStatusDirectory); }

template <typename Value>
void Take(const ordered_json& json, const char* key, Value& value) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  if constexpr (std::is_same_v<Value, std::string>) {
    if (found->is_string()) value = found->template get<std::string>();
  } else {
    if (found->is_number()) value = found->template get<Value>();
  }
}

ChangeRecord FromJson(const ordered_json& json) {
  ChangeRecord change;
  Take(json, "ended", change.ended);
  Take(json, "transition", change.transition);
  Take(json, "from", change.from);
  Take(json, "to", change.to);
  Take(json, "error", change.error);
  Take(json, "devices", change.devices);
  Take(json, "total_seconds", change.total);
  Take(json, "open_seconds", change.open);
  Take(json, "arm_seconds", change.arm);
  Take(json, "reset_seconds", change.reset);
  return change;
}

ordered_json ToJson(const ChangeRecord& change) {
  return {{"ended", change.ended},         {"transition", change.transition},
          {"from", change.from},           {"to", change.to},
          {"error", change.error},         {"devices", change.devices},
          {"total_seconds", change.total}, {"open_seconds", change.open},
          {"arm_seconds", change.arm},     {"reset_seconds", change.reset}};
}

}  // namespace

absl::Status Remember(HostFs& fs, const ChangeRecord& change) {
  GPUHOST_TRY(fs.MakeDirectories(kStatusDirectory));
  auto changes = ReadChanges(fs).value_or(std::vector<ChangeRecord>());
  changes.push_back(change);
  ordered_json list = ordered_json::array();
  const size_t first = changes.size() > kKeptChanges ? changes.size() - kKeptChanges : 0;
  for (size_t i = first; i < changes.size(); ++i) list.push_back(ToJson(changes[i]));
  const ordered_json json{{"schema", kSchema}, {"changes", list}};
  const std::string text = json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  return fs.WriteFileAtomic(Path(), text + "\n", 0644);
}

absl::StatusOr<std::vector<ChangeRecord>> ReadChanges(const HostFs& fs) {
  const auto text = fs.Read(Path());
  if (absl::IsNotFound(text.status())) return std::vector<ChangeRecord>();
  if (!text.ok()) return text.status();
  const ordered_json json = ordered_json::parse(*text, nullptr, false);
  const bool known = json.is_object() && json.contains("schema") && json["schema"] == kSchema &&
                     json.contains("changes") && json["changes"].is_array();
  if (!known) {
    return Error(absl::StatusCode::kDataLoss, "read {}: not a record of changes of schema {}",
                 Path(), kSchema);
  }
  std::vector<ChangeRecord> changes;
  for (const ordered_json& change : json["changes"]) {
    if (change.is_object()) changes.push_back(FromJson(change));
  }
  return changes;
}

}  // namespace gpuhost::service
