// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/change.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr int kMostLinks = 16;
constexpr size_t kContext = 3;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t size = newline == std::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

std::string Directory(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Where a file is written before it gets its name. CRI-O reads whatever is in its crio.conf.d, half
// files, hidden ones and others' temporaries (tried with 1.37.0's reader).
std::string StageOf(const std::string& path) {
  const std::string directory = Directory(path);
  return directory.ends_with(".conf.d")
             ? fmt::format("{}/.{}", Directory(directory), BaseName(path))
             : "";
}

absl::Status Replace(HostFs& fs, const std::string& path, const std::string& bytes, mode_t mode) {
  const std::string stage = StageOf(path);
  if (stage.empty()) return fs.WriteFileAtomic(path, bytes, mode);
  GPUHOST_TRY(fs.WriteFileAtomic(stage, bytes, mode));
  return fs.Rename(stage, path);
}

// systemd gives a service file systems that are read-only but for what its unit names.
absl::Status Explain(const absl::Status& status) {
  const bool confined = std::getenv("INVOCATION_ID") != nullptr;
  if (!confined || Text(status).find(std::generic_category().message(EROFS)) == std::string::npos) {
    return status;
  }
  return Error(status.code(),
               "{}; its unit may not write there: make the directory, then systemctl edit it, with "
               "ReadWritePaths= and that directory below [Service], and restart it",
               Text(status));
}

std::string DiffLine(char sign, std::string_view line) {
  const bool ended = line.ends_with('\n');
  return fmt::format("{}{}{}", sign, line, ended ? "" : "\n\\ No newline at end of file\n");
}

}  // namespace

absl::StatusOr<std::string> EndOfLinks(const HostFs& fs, std::string path) {
  for (int i = 0; i < kMostLinks; ++i) {
    const auto target = fs.ReadLink(path);
    if (!target.ok()) return path;  // no link, or nothing there
    path = target->starts_with('/') ? *target : path.substr(0, path.rfind('/') + 1) + *target;
  }
  return Error(absl::StatusCode::kFailedPrecondition, "{}: its links go round", path);
}

absl::StatusOr<std::optional<std::string>> ReadIfThere(const HostFs& fs, const std::string& path) {
  auto text = fs.Read(path);
  if (absl::IsNotFound(text.status())) return std::optional<std::string>();
  if (!text.ok()) return text.status();
  return std::optional<std::string>(*std::move(text));
}

absl::Status Commit(HostFs& fs, const FileChange& change) {
  if (change.before == change.after) return absl::OkStatus();
  GPUHOST_ASSIGN(const auto now, ReadIfThere(fs, change.path));
  if (now != change.before) {
    return Error(absl::StatusCode::kAborted,
                 "{}: somebody else has changed it meanwhile; nothing was written", change.path);
  }
  // A link is not replaced by a file.
  GPUHOST_ASSIGN(const std::string path, EndOfLinks(fs, change.path));
  if (!change.after) return Explain(fs.Remove(path));
  struct stat earlier {};
  const bool existed = ::stat(fs.Resolve(path).c_str(), &earlier) == 0;
  GPUHOST_TRY(Explain(fs.MakeDirectories(Directory(path))));
  return Explain(Replace(fs, path, *change.after, existed ? earlier.st_mode & 07777 : 0644));
}

absl::Status RemoveLeftOvers(HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(const std::string end, EndOfLinks(fs, path));
  std::vector<std::string> targets = {end};
  if (const std::string stage = StageOf(end); !stage.empty()) {
    targets.push_back(stage);
    GPUHOST_TRY(fs.Remove(stage));
  }
  for (const std::string& target : targets) {
    for (const std::string& name :
         fs.List(Directory(target)).value_or(std::vector<std::string>())) {
      // The temporary names of HostFs.
      if (!name.starts_with(BaseName(target) + ".tmp.")) continue;
      GPUHOST_TRY(fs.Remove(fmt::format("{}/{}", Directory(target), name)));
    }
  }
  return absl::OkStatus();
}

std::string UnifiedDiff(const FileChange& change) {
  if (change.before == change.after) return "";
  const std::string before = change.before.value_or(""), after = change.after.value_or("");
  const auto old = Lines(before), now = Lines(after);
  size_t head = 0, tail = 0;
  const size_t shorter = std::min(old.size(), now.size());
  while (head < shorter && old[head] == now[head]) ++head;
  while (tail < shorter - head && old[old.size() - 1 - tail] == now[now.size() - 1 - tail]) ++tail;
  const size_t first = head - std::min(head, kContext), context = std::min(tail, kContext);
  const auto range = [&](size_t lines) {
    const size_t count = lines - tail + context - first;
    return fmt::format("{},{}", count == 0 ? first : first + 1, count);
  };
  std::string text =
      fmt::format("--- {}\n+++ {}\n@@ -{} +{} @@\n", change.before ? change.path : "/dev/null",
                  change.after ? change.path : "/dev/null", range(old.size()), range(now.size()));
  for (size_t i = first; i < head; ++i) text += DiffLine(' ', old[i]);
  for (size_t i = head; i < old.size() - tail; ++i) text += DiffLine('-', old[i]);
  for (size_t i = head; i < now.size() - tail; ++i) text += DiffLine('+', now[i]);
  for (size_t i = old.size() - tail; i < old.size() - tail + context; ++i) {
    text += DiffLine(' ', old[i]);
  }
  return text;
}

}  // namespace gpuhost::kata_manager
