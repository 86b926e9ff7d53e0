// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/containerd_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace gpuhost::node_validator {
namespace {

// A section that is put together key by key also by 1.x.
bool IsKeyed(std::string_view name) {
  return name == "proxy_plugins" || name == "timeouts" || name == "stream_processors";
}

void MergeOldStyle(Value::Table& base, const Value::Table& over) {
  for (const auto& [name, value] : over) {
    if (name == "plugins" || IsKeyed(name)) {
      if (value.AsTable() == nullptr) continue;
      Value& section = base.try_emplace(name, Value(Value::Table())).first->second;
      if (section.AsTable() == nullptr) section = Value(Value::Table());
      for (const auto& [key, member] : *value.AsTable()) (*section.AsTable())[key] = member;
      continue;
    }
    const auto [member, added] = base.try_emplace(name, value);
    if (!added) Merge(member->second, value, /*join_lists=*/true);
  }
}

}  // namespace

Version FindVersion(const std::string& text) {
  for (size_t at = 0; at < text.size(); ++at) {
    const bool begins = std::isdigit(static_cast<unsigned char>(text[at])) != 0 &&
                        (at == 0 || std::isdigit(static_cast<unsigned char>(text[at - 1])) == 0);
    if (!begins) continue;
    std::array<int, 3> parts{};
    size_t used = 0, next = at;
    while (used < parts.size() && next < text.size() &&
           std::isdigit(static_cast<unsigned char>(text[next])) != 0) {
      int number = 0;
      for (; next < text.size() && std::isdigit(static_cast<unsigned char>(text[next])) != 0;
           ++next) {
        number = std::min(number * 10 + (text[next] - '0'), 99'999);
      }
      parts[used++] = number;
      if (next >= text.size() || text[next] != '.') break;
      ++next;
    }
    if (used == parts.size()) return {parts[0], parts[1], parts[2]};
  }
  return {};
}

std::string ToString(const Version& version) {
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

int SchemaOf(const Value& root) {
  return static_cast<int>(std::clamp<int64_t>(root.Integer({"version"}).value_or(1), 1, 99));
}

int NewestSchema(const Version& containerd) {
  if (containerd >= Version{2, 3, 0}) return 4;
  return containerd.major == 1 ? 2 : 3;
}

Value MergeFiles(const std::vector<ConfigFile>& files, const Version& containerd) {
  Value merged{Value::Table()};
  for (const ConfigFile& file : files) {
    if (file.content.AsTable() == nullptr) continue;
    const auto schema = merged.Find({"version"}) == nullptr
                            ? std::nullopt
                            : std::optional<Value>(*merged.Find({"version"}));
    if (containerd.major == 1) {
      MergeOldStyle(*merged.AsTable(), *file.content.AsTable());
    } else {
      Merge(merged, file.content, /*join_lists=*/true);
    }
    // A drop-in without version, or of one that is migrated first, leaves the root's.
    const bool counts = SchemaOf(file.content) >= 2 && containerd < Version{2, 3, 0};
    if (schema && !counts) (*merged.AsTable())["version"] = *schema;
  }
  return merged;
}

std::vector<std::string_view> RuntimesPath(int schema) {
  const std::string_view plugin = schema >= 3   ? "io.containerd.cri.v1.runtime"
                                  : schema == 2 ? "io.containerd.grpc.v1.cri"
                                                : "cri";
  return {"plugins", plugin, "containerd", "runtimes"};
}

}  // namespace gpuhost::node_validator
