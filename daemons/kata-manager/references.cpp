// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/references.h"

#include <filesystem>

#include "daemons/kata-manager/containerd/closure.h"
#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

using containerd::ReadFile;

// CRI-O reads its main file, and all that is below the directory beside it.
std::vector<ReadFile> FilesOfCrio(const HostFs& fs, const containerd::Location& where) {
  namespace stdfs = std::filesystem;
  std::vector<ReadFile> files;
  const auto add = [&](const std::string& path) {
    auto text = fs.Read(path);
    if (!absl::IsNotFound(text.status())) files.push_back({path, "CRI-O", std::move(text)});
  };
  add(where.main);
  const std::string directory = where.file.substr(0, where.file.rfind('/'));
  const stdfs::path root = fs.Resolve(directory);
  std::error_code error;
  for (stdfs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    if (!at->is_directory()) add(directory + at->path().string().substr(root.string().size()));
  }
  return files;
}

absl::Status Collect(const ReadFile& file, const std::vector<std::string>& directories,
                     std::vector<std::string>& found) {
  if (!file.text.ok()) return file.text.status();
  GPUHOST_ASSIGN(const Flat flat, Flatten(file.path, *file.text));
  for (const auto& [key, value] : flat) {
    for (const std::string& directory : directories) {
      if (!value.starts_with("\"" + directory + "/")) continue;
      found.push_back(fmt::format("{}: {} = {}", file.path, key, value));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReferencesTo(const HostFs& fs, const HostFs& host,
                                                      const containerd::Location& where,
                                                      const std::vector<FileChange>& changes,
                                                      const std::vector<std::string>& directories) {
  std::vector<std::string> found;
  const auto look = [&](const ReadFile& file) -> absl::Status {
    for (const FileChange& change : changes) {
      if (containerd::SeenOf(where, change.path) == file.path) return absl::OkStatus();
    }
    return Collect(file, directories, found);
  };
  if (containerd::IsCrio(where)) {
    for (const ReadFile& file : FilesOfCrio(fs, where)) GPUHOST_TRY(look(file));
  } else {
    for (const ReadFile& file : containerd::ReadClosure(fs, host, where)) GPUHOST_TRY(look(file));
  }
  for (const FileChange& change : changes) {
    if (change.after) GPUHOST_TRY(Collect({change.path, "", *change.after}, directories, found));
  }
  return found;
}

}  // namespace gpuhost::kata_manager
