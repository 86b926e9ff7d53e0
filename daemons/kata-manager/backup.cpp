// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/backup.h"

#include <nlohmann/json.hpp>

#include "daemons/kata-manager/digest.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

using nlohmann::ordered_json;

std::string PathIn(const std::string& artifacts_dir) { return artifacts_dir + "/backup.json"; }

ordered_json ToJson(const std::optional<std::string>& bytes) {
  return bytes ? ordered_json(*bytes) : ordered_json(nullptr);
}

std::optional<std::string> ToBytes(const nlohmann::json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<std::string>();
}

}  // namespace

absl::Status KeepBackup(HostFs& fs, const std::string& artifacts_dir,
                        const std::vector<FileChange>& changes) {
  ordered_json json = ordered_json::array();
  for (const FileChange& change : changes) {
    json.push_back({{"path", change.path},
                    {"before", ToJson(change.before)},
                    {"after", ToJson(change.after)}});
  }
  GPUHOST_TRY(fs.MakeDirectories(artifacts_dir));
  try {
    return fs.WriteFileAtomic(PathIn(artifacts_dir), json.dump(2) + "\n", 0600);
  } catch (const nlohmann::json::exception& error) {  // TOML is UTF-8
    return Error(absl::StatusCode::kInvalidArgument, "a file is not UTF-8: {}", error.what());
  }
}

absl::StatusOr<std::vector<FileChange>> ReadBackup(const HostFs& fs,
                                                   const std::string& artifacts_dir) {
  const std::string path = PathIn(artifacts_dir);
  GPUHOST_ASSIGN(const std::string text, fs.Read(path));
  std::vector<FileChange> changes;
  try {
    for (const auto& entry : nlohmann::json::parse(text)) {
      changes.push_back({entry.at("path").get<std::string>(), ToBytes(entry.at("before")),
                         ToBytes(entry.at("after"))});
    }
  } catch (const nlohmann::json::exception& error) {
    return Error(absl::StatusCode::kDataLoss, "{}: {}", path, error.what());
  }
  return changes;
}

std::string DigestOf(const std::vector<FileChange>& changes) {
  Sha256 digest;
  for (const FileChange& change : changes) {
    digest.Update(change.path + '\0' + change.before.value_or("") + '\0' +
                  change.after.value_or("") + '\0');
  }
  return digest.Hex();
}

absl::StatusOr<std::string> DigestOfFiles(const HostFs& fs,
                                          const std::vector<FileChange>& changes) {
  Sha256 digest;
  for (const FileChange& change : changes) {
    GPUHOST_ASSIGN(const auto now, ReadIfThere(fs, change.path));
    digest.Update(change.path + '\0' + (now ? "1" + *now : "0") + '\0');
  }
  return digest.Hex();
}

absl::Status BeginChange(HostFs& fs, const std::string& artifacts_dir,
                         const std::vector<FileChange>& changes, int64_t now, State& state) {
  GPUHOST_ASSIGN(state.pending, DigestOfFiles(fs, changes));
  state.begun = now;
  return WriteState(fs, artifacts_dir, state);
}

absl::Status EndChange(HostFs& fs, const std::string& artifacts_dir, State& state) {
  if (state.pending.empty()) return absl::OkStatus();
  GPUHOST_ASSIGN(const auto changes, ReadBackup(fs, artifacts_dir));
  GPUHOST_ASSIGN(const std::string now, DigestOfFiles(fs, changes));
  if (now != state.pending) {
    state.restart_due = true;
    state.changed = state.begun;
  }
  state.pending.clear();
  state.begun = 0;
  return WriteState(fs, artifacts_dir, state);
}

absl::StatusOr<bool> CanTakeBack(const HostFs& fs, const std::vector<FileChange>& changes) {
  bool any = false;
  for (const FileChange& change : changes) {
    GPUHOST_ASSIGN(const auto now, ReadIfThere(fs, change.path));
    if (now == change.before) continue;
    if (now != change.after) {
      return Error(absl::StatusCode::kAborted,
                   "{}: somebody else has changed it since; nothing was written", change.path);
    }
    any = true;
  }
  return any;
}

absl::Status TakeBack(HostFs& fs, const std::vector<FileChange>& changes) {
  GPUHOST_TRY(CanTakeBack(fs, changes).status());
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    GPUHOST_ASSIGN(const auto now, ReadIfThere(fs, change->path));
    if (now == change->before) continue;
    GPUHOST_TRY(Commit(fs, {change->path, change->after, change->before}));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
