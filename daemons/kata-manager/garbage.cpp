// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/garbage.h"

#include <algorithm>
#include <set>

#include "daemons/kata-manager/generation.h"
#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

std::string ClassesIn(const std::string& artifacts_dir) { return artifacts_dir + "/classes"; }
std::string BlobsIn(const std::string& artifacts_dir) { return artifacts_dir + "/cas/sha256"; }

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

}  // namespace

absl::StatusOr<std::vector<std::string>> CollectGarbage(HostFs& fs,
                                                        const std::string& artifacts_dir,
                                                        const std::vector<std::string>& classes) {
  std::vector<std::string> removed;
  std::set<std::string> blobs;
  for (const std::string& name : ListIfThere(fs, ClassesIn(artifacts_dir))) {
    const std::string directory = ClassDirectory(artifacts_dir, name);
    const bool wanted = std::ranges::find(classes, name) != classes.end();
    const auto all = Generations(fs, directory);
    const auto needed = wanted ? Needed(fs, directory, all) : std::set<int>();
    bool any = false;
    for (const Generation& generation : all) {
      if (needed.contains(generation.number) || IsInUse(fs, fs.Resolve(generation.directory))) {
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
  GPUHOST_TRY(fs.RemoveTree(artifacts_dir + "/cas/partial"));
  for (const std::string& digest : ListIfThere(fs, BlobsIn(artifacts_dir))) {
    if (blobs.contains(digest)) continue;
    const std::string path = fmt::format("{}/{}", BlobsIn(artifacts_dir), digest);
    GPUHOST_TRY(fs.Remove(path));
    removed.push_back(path);
  }
  return removed;
}

absl::Status RemoveAll(HostFs& fs, const std::string& artifacts_dir) {
  if (IsInUse(fs, fs.Resolve(ClassesIn(artifacts_dir)))) {
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
