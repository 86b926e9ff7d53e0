// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/garbage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "daemons/kata-manager/generation.h"
#include "daemons/kata-manager/sandboxes.h"
#include "daemons/kata-manager/state.h"
#include "daemons/kata-manager/store_lock.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

std::string ClassesIn(const std::string& artifacts_dir) { return artifacts_dir + "/classes"; }
std::string BlobsIn(const std::string& artifacts_dir) { return artifacts_dir + "/cas/sha256"; }

std::string PartialsIn(const std::string& artifacts_dir) { return artifacts_dir + "/cas/partial"; }
std::string PinsIn(const std::string& artifacts_dir) { return artifacts_dir + "/cas/pins"; }

constexpr int64_t kDay = 24 * 3600;
constexpr int64_t kPinned = 14 * kDay;

// Since it was last written, by the clock on the wall; nothing where there is none.
std::optional<int64_t> AgeOf(const HostFs& fs, const std::string& path) {
  struct stat found {};
  if (::stat(fs.Resolve(path).c_str(), &found) != 0) return std::nullopt;
  return std::time(nullptr) - found.st_mtime;
}

std::vector<std::string> ListIfThere(const HostFs& fs, const std::string& directory) {
  return fs.List(directory).value_or(std::vector<std::string>());
}

// Those that stay whatever happens: the current one and the one before it.
std::set<int> Needed(const HostFs& fs, const std::string& directory,
                     const std::vector<Generation>& all) {
  std::set<int> needed;
  const auto current = Current(fs, directory);
  if (!current) return needed;
  needed.insert(current->number);
  int before = 0;
  for (const Generation& generation : all) {
    if (generation.number < current->number) before = generation.number;
  }
  if (before > 0) needed.insert(before);
  return needed;
}

// A process names it as we do, or as the kernel does when a link leads to it.
bool IsUsed(const HostFs& fs, const std::string& directory) {
  const std::string path = fs.Resolve(directory);
  std::error_code ignored;
  const std::string real = std::filesystem::canonical(path, ignored).string();
  return IsInUse(fs, path) || (!real.empty() && real != path && IsInUse(fs, real));
}

// The blobs that pins keep; pins that are too old go.
absl::StatusOr<std::set<std::string>> Pinned(HostFs& fs, const std::string& artifacts_dir) {
  std::set<std::string> blobs;
  for (const std::string& name : ListIfThere(fs, PinsIn(artifacts_dir))) {
    const std::string path = fmt::format("{}/{}", PinsIn(artifacts_dir), name);
    if (AgeOf(fs, path).value_or(0) > kPinned) {
      GPUHOST_TRY(fs.Remove(path));
      continue;
    }
    GPUHOST_ASSIGN(const std::string text, fs.Read(path));
    std::istringstream lines(text);
    for (std::string digest; std::getline(lines, digest);) blobs.insert(digest);
  }
  return blobs;
}

// What nobody fetches any more.
absl::Status RemovePartials(HostFs& fs, const std::string& artifacts_dir) {
  for (const std::string& name : ListIfThere(fs, PartialsIn(artifacts_dir))) {
    const std::string path = fmt::format("{}/{}", PartialsIn(artifacts_dir), name);
    const auto fd = fs.Open(path, O_RDONLY | O_NOFOLLOW);
    const bool is_busy = fd.ok() && ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0;
    if (is_busy || AgeOf(fs, path).value_or(0) < kDay) continue;
    GPUHOST_TRY(fs.Remove(path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Pin(HostFs& fs, const std::string& artifacts_dir, const std::string& identity,
                 const std::vector<std::string>& blobs) {
  GPUHOST_TRY(fs.MakeDirectories(PinsIn(artifacts_dir)));
  return fs.WriteFileAtomic(fmt::format("{}/{}", PinsIn(artifacts_dir), identity),
                            fmt::format("{}\n", fmt::join(blobs, "\n")), 0644);
}

absl::StatusOr<std::vector<std::string>> CollectGarbage(HostFs& fs,
                                                        const std::string& artifacts_dir,
                                                        const std::vector<std::string>& classes) {
  std::vector<std::string> removed;
  if (!fs.Exists(artifacts_dir)) return removed;
  GPUHOST_ASSIGN(const StoreLock lock,
                 StoreLock::Take(fs, artifacts_dir, StoreLock::Kind::kAlone, Duration::zero()));
  GPUHOST_ASSIGN(std::set<std::string> blobs, Pinned(fs, artifacts_dir));
  GPUHOST_ASSIGN(const State state, ReadState(fs, artifacts_dir));
  for (const std::string& name : ListIfThere(fs, ClassesIn(artifacts_dir))) {
    const std::string directory = ClassDirectory(artifacts_dir, name);
    const bool wanted = std::ranges::find(classes, name) != classes.end();
    const auto all = Generations(fs, directory);
    const auto needed = wanted ? Needed(fs, directory, all) : std::set<int>();
    bool any = false;
    const auto held = state.held.find(name);
    for (const Generation& generation : all) {
      const bool is_held =
          wanted && held != state.held.end() && held->second == generation.identity;
      if (is_held || needed.contains(generation.number) || IsUsed(fs, generation.directory)) {
        blobs.insert(generation.blobs.begin(), generation.blobs.end());
        any = true;
        continue;
      }
      GPUHOST_TRY(fs.RemoveTree(generation.directory));
      removed.push_back(generation.directory);
    }
    if (any || wanted) continue;
    GPUHOST_TRY(fs.RemoveTree(directory));
    removed.push_back(directory);
  }
  GPUHOST_TRY(RemovePartials(fs, artifacts_dir));
  for (const std::string& digest : ListIfThere(fs, BlobsIn(artifacts_dir))) {
    if (blobs.contains(digest)) continue;
    const std::string path = fmt::format("{}/{}", BlobsIn(artifacts_dir), digest);
    GPUHOST_TRY(fs.Remove(path));
    removed.push_back(path);
  }
  return removed;
}

absl::Status RemoveAll(HostFs& fs, const std::string& artifacts_dir) {
  if (!fs.Exists(artifacts_dir)) return absl::OkStatus();
  GPUHOST_ASSIGN(const StoreLock lock,
                 StoreLock::Take(fs, artifacts_dir, StoreLock::Kind::kAlone, Duration::zero()));
  if (IsUsed(fs, ClassesIn(artifacts_dir))) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "a guest still uses files of {}; end it and try again", ClassesIn(artifacts_dir));
  }
  for (const char* ours : {"classes", "cas", "rehearsal"}) {
    GPUHOST_TRY(fs.RemoveTree(fmt::format("{}/{}", artifacts_dir, ours)));
  }
  for (const char* ours : {"backup.json", "state.json"}) {
    GPUHOST_TRY(fs.Remove(fmt::format("{}/{}", artifacts_dir, ours)));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager
